"""The worker: claims jobs in Postgres, runs each in a child process, commits the result. Imports no ML library."""
