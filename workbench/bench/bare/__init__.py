"""What each runbook is compared with: the same job as a script of its service's calls and nothing else.

`main(client, sleep, given)` gets a function that returns a boto3 client, one that waits, and the start input. It
decides and verifies as the runbook does, but neither locks nor records nor undoes, and asks nobody.
"""
