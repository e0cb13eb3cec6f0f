#!/bin/sh
# Starts nginx and keeps its lists of servers true: names are resolved every few seconds, and nginx is reloaded (no request is
# lost) when the answer changes. Open-source nginx before 1.27.3 resolves names at start only, and a scaled or restarted
# ml-service has other addresses.
#
#   API_SERVER   host:port of the api-server            ML_SERVICE  host:port of ml-service, or several, separated by spaces
#   LISTEN       address and port, default 8080         RESOLVE_SECONDS  default 3
#   NGINX_STATE  a writable folder, default /run/nginx
set -eu
: "${API_SERVER:?host:port of the api-server}" "${ML_SERVICE:?host:port of ml-service}"
state=${NGINX_STATE:-/run/nginx}
config=$(cd "$(dirname "$0")" && pwd)

# servers "host:port …" OPTIONS: a line for each address behind the names
servers() {
  for place in $1; do
    for address in $(getent ahostsv4 "${place%:*}" | awk '{ print $1 }' | sort -u); do
      echo "    server $address:${place##*:} $2;"
    done
  done
}

# upstream NAME "host:port …": where no name resolves, an address that refuses at once, so that nginx starts and says 502
upstream() {
  found=$(servers "$2" "max_fails=1 fail_timeout=3s")
  echo "upstream $1 {"
  echo "    zone $1 64k;"
  echo "    least_conn;"
  echo "${found:-    server 127.0.0.1:9;}"
  # Shorter than the 75 s after which the services close an idle connection.
  echo "    keepalive 64;"
  echo "    keepalive_timeout 60s;"
  echo "}"
}

write_upstreams() {
  upstream api_server "$API_SERVER"
  upstream ml_service "$ML_SERVICE"
}

follow() {
  while sleep "${RESOLVE_SECONDS:-3}" && kill -0 $$; do
    write_upstreams >"$state/upstreams.new"
    # A name server that is away is no reason to forget the servers we know.
    if grep -q 'server 127.0.0.1:9;' "$state/upstreams.new" || cmp -s "$state/upstreams.new" "$state/upstreams.conf"; then
      continue
    fi
    mv "$state/upstreams.new" "$state/upstreams.conf"
    kill -HUP $$
  done
}

mkdir -p "$state"
for name in nginx proxy headers problems v2_errors v2_problems; do cat "$config/$name.conf" >"$state/$name.conf"; done
echo "listen ${LISTEN:-8080};" >"$state/listen.conf"
write_upstreams >"$state/upstreams.conf"
nginx -e stderr -t -q -p "$state" -c nginx.conf
if [ "${1:-}" = --check ]; then exit; fi
follow & # $$ stays this process, which becomes nginx
exec nginx -e stderr -p "$state" -c nginx.conf -g 'daemon off;'
