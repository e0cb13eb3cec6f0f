#!/bin/sh
# Starts Valkey (or Redis) as the stack's broker or cache: `valkey.sh broker`, `valkey.sh cache`, `valkey.sh check`.
# The password comes from VALKEY_PASSWORD and goes by a private file, so that no process list shows it.
set -eu
: "${VALKEY_PASSWORD:?}"
pick() { command -v "valkey-$1" || command -v "redis-$1"; }

if [ "$1" = check ]; then
  REDISCLI_AUTH=$VALKEY_PASSWORD exec "$(pick cli)" ping
fi

umask 077
{
  echo "bind 0.0.0.0"
  echo "dir /data"
  echo "requirepass $VALKEY_PASSWORD"
  echo "tcp-keepalive 60"
  echo 'save ""'
  case $1 in
    # Wake-ups of jobs. PostgreSQL knows the jobs, so losing a second of this costs latency and no job.
    broker) printf '%s\n' "maxmemory-policy noeviction" "appendonly yes" "appendfsync everysec" ;;
    cache) printf '%s\n' "maxmemory-policy allkeys-lru" "maxmemory ${VALKEY_MAXMEMORY:-200mb}" "appendonly no" ;;
    *) echo "broker or cache?" >&2; exit 2 ;;
  esac
} >/tmp/valkey.conf
# Nobody needs these over the network, and they are what an intruder would ask for first. Scripts stay: Celery's transport and the
# rate limits run some.
for command in ACL BGSAVE CONFIG DEBUG FCALL FUNCTION KEYS MIGRATE MODULE MONITOR REPLICAOF SAVE SHUTDOWN SLAVEOF; do
  echo "rename-command $command \"\"" >>/tmp/valkey.conf
done
exec "$(pick server)" /tmp/valkey.conf
