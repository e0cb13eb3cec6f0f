"""Tables in other forms than JSON: NDJSON, CSV, Arrow IPC streams and Parquet, read and answered. The batch door chooses."""
