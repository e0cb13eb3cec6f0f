"""What every Modelmill service needs and none should write twice: problems, logs, metrics, health, the object store."""
