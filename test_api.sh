#!/usr/bin/env bash
# Smoke test of a running stack with curl and jq: the main job end to end, JSON shapes, refusals, a basic latency figure.
# The exit code is the number of failed checks (at most 99); 100 means that the stack did not answer at all.
#
#   ./test_api.sh [API_URL] [ML_URL]        or by the environment
#     API_URL   http://localhost:8000       the api-server; through nginx both are http://localhost
#     ML_URL    http://localhost:8001       ml-service
#     PATIENCE  180                         seconds to wait for a job
#     REQUESTS  50                          predictions of the latency figure
#     ADMIN_USER, ADMIN_PASSWORD            who invites where registration is closed; else `admin` with the password of .env
set -uo pipefail

API_URL=${1:-${API_URL:-http://localhost:8000}}
ML_URL=${2:-${ML_URL:-http://localhost:8001}}
API_URL=${API_URL%/} ML_URL=${ML_URL%/}
PATIENCE=${PATIENCE:-180}
REQUESTS=${REQUESTS:-50}
ML_HEALTH=$ML_URL/health
edge=
if [[ $API_URL == "$ML_URL" ]]; then edge=yes ML_HEALTH=$ML_URL/ml/health; fi

for tool in curl jq; do
  command -v "$tool" >/dev/null || { echo "test_api.sh needs $tool" >&2; exit 100; }
done
if [[ -t 1 ]]; then green=$'\e[32m' red=$'\e[31m' bold=$'\e[1m' plain=$'\e[0m'; else green='' red='' bold='' plain=''; fi

passed=0 failed=0 status='' body='' type='' auth=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# ok NAME / not_ok NAME: count one check
ok() { passed=$((passed + 1)); printf '  %sok%s    %s\n' "$green" "$plain" "$1"; }
not_ok() {
  failed=$((failed + 1))
  printf '  %sFAIL%s  %s\n        %s %s\n' "$red" "$plain" "$1" "$status" "${body:0:300}"
}

# ask METHOD URL [curl options]: sets status, type and body
ask() {
  local method=$1 url=$2
  shift 2
  status=$(curl --silent --show-error --max-time 60 --request "$method" --output "$work/body" --dump-header "$work/head" \
    --write-out '%{http_code}' "${auth[@]}" "$@" "$url" 2>"$work/error") || status="000 $(<"$work/error")"
  body=$(tr -d '\0' <"$work/body" 2>/dev/null)
  type=$(grep -i '^content-type:' "$work/head" 2>/dev/null | tail -1 | tr -d '\r' | cut -d' ' -f2-)
  : >"$work/body"
}
send() { ask "$1" "$2" --header 'Content-Type: application/json' --data-binary "$3"; }

# check NAME STATUS [JQ]: the last answer has this status, and the expression holds for its body
check() {
  if [[ $status == "$2" ]] && { [[ -z ${3:-} ]] || jq --exit-status "$3" >/dev/null 2>&1 <<<"$body"; }; then ok "$1"; else not_ok "$1"; fi
}
# refused NAME STATUS: … with a problem document that says so
refused() {
  if [[ $status == "$2" && $type == application/problem+json* ]] &&
    jq --exit-status --argjson status "$2" '.status == $status and (.type | length > 0) and (.title | length > 0)' >/dev/null 2>&1 <<<"$body"; then
    ok "$1"
  else
    not_ok "$1"
  fi
}
counters() { if [[ $status == 200 && $body == *http_requests_total* ]]; then ok "$1"; else not_ok "$1"; fi; }
# refused_somehow NAME: a problem document with any 4xx
refused_somehow() { if [[ $status == 4* ]]; then refused "$1" "$status"; else not_ok "$1"; fi; }
field() { jq --raw-output "$1 // empty" <<<"$body"; }

# until_true NAME URL JQ: ask until the expression holds, or is `failed`, or patience ends
until_true() {
  local deadline=$((SECONDS + PATIENCE))
  while ((SECONDS < deadline)); do
    ask GET "$2"
    if jq --exit-status "$3" >/dev/null 2>&1 <<<"$body"; then ok "$1"; return; fi
    if jq --exit-status '.state == "failed" or .status == "failed" or .status == "invalid"' >/dev/null 2>&1 <<<"$body"; then break; fi
    sleep 0.7
  done
  not_ok "$1"
  return 1
}

health() {
  title "Health and descriptions"
  local base name
  for base in "$API_URL/health" "$ML_HEALTH"; do
    name=${base#"$API_URL"} name=${name#"$ML_URL"}
    [[ $base == "$ML_HEALTH" ]] && name="$name of ml-service"
    ask GET "$base"; check "$name" 200 '.status == "healthy" and (.version | length > 0)'
    ask GET "$base/detailed"; check "$name, detailed" 200 '(.checks | type == "object") and .uptime_seconds >= 0'
    ask GET "$base/ready"; check "$name, ready" 200 '.ready'
    ask GET "$base/live"; check "$name, live" 200 '.live'
    ask GET "$base/startup"; check "$name, startup" 200 '.started'
  done
  ask GET "$API_URL/docs"; check "documentation" 200
  ask GET "$API_URL/openapi.json"; check "OpenAPI document" 200 '.paths | has("/api/v1/datasets")'
  if [[ $edge ]]; then
    ask GET "$API_URL/metrics"; refused "the edge does not publish /metrics" 404
    ask GET "$ML_URL/ml/openapi.json"; check "OpenAPI document of ml-service" 200 '.paths | has("/predict/{model}")'
  else
    ask GET "$API_URL/metrics"; counters "/metrics"
    ask GET "$ML_URL/metrics"; counters "/metrics of ml-service"
    ask GET "$ML_URL/openapi.json"; check "OpenAPI document of ml-service" 200 '.paths | has("/predict/{model}")'
  fi
}

# invitation EMAIL: a code for this address, asked for as the administrator; empty where there is none
invitation() {
  local password=${ADMIN_PASSWORD:-}
  [[ $password ]] || password=$(sed -n 's/^ADMIN_PASSWORD=//p' "$(dirname "$0")/.env" 2>/dev/null)
  ask POST "$API_URL/api/v1/auth/token" --data-urlencode "username=${ADMIN_USER:-admin}" --data-urlencode "password=$password"
  auth=(--header "Authorization: Bearer $(field .access_token)")
  send POST "$API_URL/api/v1/invitations" "$(jq -n --arg e "$1" '{email: $e, role: "user"}')"
  code=$(field .code)
  auth=()
}

# own_workspace: the invited user's own, so that nobody else's projects are in the way
own_workspace() {
  send POST "$API_URL/api/v1/workspaces" "{\"name\": \"$user\"}"
  ask POST "$API_URL/api/v1/auth/token" --data-urlencode "username=$user" --data-urlencode "password=$1" --data-urlencode "workspace=$(field .id)"
  auth=(--header "Authorization: Bearer $(field .access_token)")
}

sign_in() {
  title "Register and sign in"
  user=smoke-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
  local password code=''
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  send POST "$API_URL/api/v1/auth/register" "$(jq -n --arg u "$user" --arg p "$password" \
    '{email: ($u + "@example.org"), username: $u, password: $p, full_name: "Smoke Test"}')"
  if [[ $status == 403 ]]; then
    refused "nobody registers without an invitation" 403
    invitation "$user@example.org"
    send POST "$API_URL/api/v1/auth/register" "$(jq -n --arg u "$user" --arg p "$password" --arg c "$code" \
      '{email: ($u + "@example.org"), username: $u, password: $p, full_name: "Smoke Test", code: $c}')"
  fi
  check "register" 201 '.id and .username and (has("password") | not)'
  send POST "$API_URL/api/v1/auth/register" "$(jq -n --arg u "$user" --arg p "$password" \
    '{email: ($u + "@example.org"), username: $u, password: $p, full_name: "Smoke Test"}')"
  if [[ $code ]]; then refused "register twice" 403; else refused "register twice" 409; fi
  send POST "$API_URL/api/v1/auth/register" '{"email": "x@example.org", "username": "somebody", "password": "short", "full_name": "X"}'
  refused "a short password" 422
  ask POST "$API_URL/api/v1/auth/token" --data-urlencode "username=$user" --data-urlencode "password=wrong-$password"
  refused "a wrong password" 401
  ask GET "$API_URL/api/v1/projects"; refused "a list without a token" 401
  ask POST "$API_URL/api/v1/auth/token" --data-urlencode "username=$user" --data-urlencode "password=$password"
  check "token" 200 '.access_token and .refresh_token and (.token_type | ascii_downcase == "bearer") and .expires_in > 0'
  auth=(--header "Authorization: Bearer $(field .access_token)")
  [[ $code ]] && own_workspace "$password"
  ask GET "$API_URL/api/v1/auth/me"; check "me" 200 ".username == \"$user\" and .role"
}

upload() {
  title "Project and dataset"
  send POST "$API_URL/api/v1/projects/" '{"name": "Smoke", "description": "made by test_api.sh", "tags": ["smoke"]}'
  check "create a project" 201 '.id and .name == "Smoke"'
  project=$(field .id)
  ask GET "$API_URL/api/v1/projects"; check "list projects" 200 '.items | length == 1'
  awk 'BEGIN { srand(7); print "width,height,colour,label"
    for (i = 0; i < 400; i++) { w = rand() * 10; h = rand() * 10; c = (rand() < 0.5) ? "red" : "blue"
      printf "%.3f,%.3f,%s,%s\n", w, h, c, (w + h + (c == "red" ? 2 : 0) + rand() > 11) ? "big" : "small" } }' >"$work/table.csv"
  ask POST "$API_URL/api/v1/datasets/" --form "file=@$work/table.csv;type=text/csv" --form name=table --form "project_id=$project" --form tags=smoke
  check "upload a table" 201 '.id and (.sha256 | length == 64) and .status'
  dataset=$(field .id)
  : >"$work/empty.csv"
  ask POST "$API_URL/api/v1/datasets/" --form "file=@$work/empty.csv;type=text/csv" --form name=empty --form "project_id=$project"
  refused_somehow "an empty file"
  until_true "the profile is ready" "$API_URL/api/v1/datasets/$dataset" '.status == "ready"' || return 1
  check "its shape" 200 '.rows == 400 and .column_count == 4'
  ask GET "$API_URL/api/v1/datasets/$dataset/statistics"; check "statistics" 200 '.columns | length == 4'
  ask GET "$API_URL/api/v1/datasets/$dataset/preview?limit=3"; check "preview" 200 '(.columns | length == 4) and (.rows | length == 3)'
}

train() {
  title "Train"
  local wish
  wish=$(jq -n --arg p "$project" --arg d "$dataset" --arg n "$user" '{name: $n, model_type: "classification",
    framework: "xgboost", project_id: $p, dataset_id: $d, target: "label", parameters: {n_estimators: 20}}')
  send POST "$API_URL/api/v1/models/" "$(jq '.parameters = {n_estimatorz: 20}' <<<"$wish")"
  refused "an unknown parameter" 422
  send POST "$API_URL/api/v1/models/" "$wish"
  check "start a training" 201 '.id and .job_id and .status == "training" and .target == "label"'
  model=$(field .id) job=$(field .job_id)
  until_true "the job succeeds" "$API_URL/api/v1/jobs/$job" '.state == "succeeded"' || return 1
  ask GET "$API_URL/api/v1/models/$model"; check "the model is trained" 200 '.status == "trained" and (.metrics | length > 0)'
  ask GET "$API_URL/api/v1/jobs/$job/logs"; check "the job's log" 200
}

deploy() {
  title "Deploy"
  ask POST "$API_URL/api/v1/models/$model/deploy"; check "deploy" 200 '.status'
  until_true "every replica serves it" "$API_URL/api/v1/models/$model/deployment" '.status == "deployed"'
}

predict() {
  title "Predict"
  local row='{"width": 9.1, "height": 8.7, "colour": "red"}'
  local input="{\"input_data\": $row, \"return_probabilities\": true}"
  send POST "$ML_URL/predict/$model" "$input"
  check "one row" 200 '.prediction == "big" and .confidence_score > 0.5 and (.probabilities | add - 1 | fabs < 0.001) and .processing_time >= 0 and .timestamp and .model_id and .metadata'
  send POST "$ML_URL/predict/$user" "$input"; check "one row, by the model's name" 200 '.prediction == "big"'
  send POST "$ML_URL/predict/$model/batch" "{\"inputs\": [$row, {\"width\": 0.5, \"height\": 0.4, \"colour\": \"blue\"}, $row]}"
  check "a batch" 200 '([.predictions[].prediction] == ["big", "small", "big"]) and .total_processing_time >= 0 and .average_time_per_prediction >= 0'
  send POST "$API_URL/api/v1/predictions/" "$(jq --arg m "$model" '. + {model: $m}' <<<"$input")"
  check "through the api-server, with its history" 200 '.id and .output.prediction == "big"'
  send POST "$ML_URL/predict/$model" '{"input_data": {"width": "wide", "height": 1, "colour": "red"}}'; refused "a wrong type" 422
  send POST "$ML_URL/predict/$model" '{"input_data": {"width": 1}}'; refused "missing features" 422
  send POST "$ML_URL/predict/$model" '{"input_data": '; refused_somehow "broken JSON"
  send POST "$ML_URL/predict/no-such-model" "$input"; refused "an unknown model" 404
  ask GET "$ML_URL/models"; check "list of models" 200 ".models | map(.name) | index(\"$user\")"
  ask GET "$ML_URL/stats"; check "statistics" 200 '.global.uptime_seconds >= 0 and .global.total_requests >= 0 and (.global | has("cache_hit_rate")) and (.models | type == "object")'
  local signed_in=("${auth[@]}")
  auth=()
  send POST "$ML_URL/predict/$model" "$input"; refused_somehow "without a key"
  send POST "$ML_URL/predict/demo_model_1" '{"input_data": {"feature1": 1, "feature2": 2, "feature3": 3, "feature4": 4}}'
  check "a demo model, without a key" 200 'has("prediction")'
  auth=("${signed_in[@]}")
  latency "$(jq -c '. + {use_cache: false}' <<<"$input")"
}

# latency BODY: the median of REQUESTS predictions, one after the other over one kept-alive connection, as curl sees it
latency() {
  local urls=() i
  for ((i = 0; i < REQUESTS; i++)); do urls+=(--output /dev/null "$ML_URL/predict/$model"); done
  curl --silent --request POST --header 'Content-Type: application/json' --data-binary "$1" "${auth[@]}" \
    --write-out '%{http_code} %{time_total}\n' "${urls[@]}" | sort -k2 -n >"$work/times"
  local good p50 p95
  good=$(grep -c '^200 ' "$work/times")
  p50=$(awk '{ v[NR] = $2 } END { if (NR) printf "%.2f", v[int((NR + 1) / 2)] * 1000 }' "$work/times")
  p95=$(awk '{ v[NR] = $2 } END { if (NR) printf "%.2f", v[int(NR * 0.95 + 0.5)] * 1000 }' "$work/times")
  status=$good body="of $REQUESTS predictions answered"
  if ((good == REQUESTS)); then ok "$REQUESTS predictions: p50 $p50 ms, p95 $p95 ms"; else not_ok "$REQUESTS predictions"; fi
}

tidy_up() {
  title "Tidy up"
  ask POST "$API_URL/api/v1/models/$model/undeploy"; check "undeploy" 200
  ask DELETE "$API_URL/api/v1/projects/$project"; check "delete the project" 200
  ask GET "$API_URL/api/v1/datasets/$dataset"; refused "its dataset is gone" 404
}

printf 'api-server %s\nml-service %s\n' "$API_URL" "$ML_URL"
ask GET "$API_URL/health/live"
if [[ $status == 000* ]]; then
  echo "nothing answers at $API_URL: ${status#000 }" >&2
  exit 100
fi
health
sign_in && upload && train && deploy && predict && tidy_up
printf '\n%s passed, %s failed\n' "$passed" "$failed"
exit $((failed > 99 ? 99 : failed))
