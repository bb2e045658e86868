"""What authors and tests need and never deploys: the command line, the machine compiler, the embedded AWS."""
