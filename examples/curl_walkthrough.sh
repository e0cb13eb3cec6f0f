#!/usr/bin/env bash
# The HTTP API with nothing but curl and jq, against a running stack (`modelmill up`).
#   examples/curl_walkthrough.sh [API_URL] [SERVING_URL]
set -euo pipefail

api=${1:-http://127.0.0.1:8000}
serving=${2:-http://127.0.0.1:8001}
data=$(dirname "$0")/data/titanic.csv
user=curl-$RANDOM$RANDOM
password=$(head -c 18 /dev/urandom | base64 | tr '+/' '-_')

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
ask() { curl --silent --show-error --fail-with-body "$@"; }

# wait_job ID: follow a job to its end
wait_job() {
  local state
  for _ in $(seq 600); do
    state=$(ask -H "$auth" "$api/api/v1/jobs/$1" | jq -r .state)
    case $state in
      succeeded) return 0 ;;
      failed | cancelled) ask -H "$auth" "$api/api/v1/jobs/$1" | jq .problem; return 1 ;;
    esac
    sleep 0.5
  done
  echo "job $1 is still $state" >&2
  return 1
}

say "Register and sign in"
jq -n --arg u "$user" --arg p "$password" '{email: ($u + "@example.org"), username: $u, password: $p, full_name: "Curl"}' |
  ask -H 'Content-Type: application/json' -d @- "$api/api/v1/auth/register" | jq '{id, username}'
token=$(ask --data-urlencode "username=$user" --data-urlencode "password=$password" "$api/api/v1/auth/token" | jq -r .access_token)
auth="Authorization: Bearer $token"
ask -H "$auth" "$api/api/v1/auth/me" | jq '{username, role}'

say "Create a project and upload a table"
project=$(ask -H "$auth" --json '{"name": "Titanic", "tags": ["curl"]}' "$api/api/v1/projects/" | jq -r .id)
dataset=$(ask -H "$auth" -F "file=@$data" -F name=titanic -F "project_id=$project" -F tags=example "$api/api/v1/datasets/")
jq '{id, status, sha256}' <<<"$dataset"
dataset_id=$(jq -r .id <<<"$dataset")

say "Train a model; it waits for the profile by itself"
model=$(jq -n --arg p "$project" --arg d "$dataset_id" --arg n "survival-$user" '{name: $n, model_type: "classification",
    framework: "xgboost", project_id: $p, dataset_id: $d, target: "survived", exclude: ["alive"], parameters: {n_estimators: 60}}' |
  ask -H "$auth" -H 'Content-Type: application/json' -d @- "$api/api/v1/models/")
jq '{id, version, status, job_id, target}' <<<"$model"
model_id=$(jq -r .id <<<"$model")
wait_job "$(jq -r .job_id <<<"$model")"
ask -H "$auth" "$api/api/v1/models/$model_id" | jq '{status, metrics}'

say "Deploy it and predict"
ask -H "$auth" -X POST "$api/api/v1/models/$model_id/deploy" | jq '{status, version, predict_path}'
for _ in $(seq 100); do
  [[ $(ask -H "$auth" "$api/api/v1/models/$model_id/deployment" | jq -r .status) == deployed ]] && break
  sleep 0.2
done
row=$(ask -H "$auth" "$api/api/v1/datasets/$dataset_id/preview?limit=1" |
  jq '[.columns, .rows[0]] | transpose | map({(.[0]): .[1]}) | add | del(.survived, .alive)')
jq -n --argjson row "$row" '{input_data: $row, return_probabilities: true}' |
  ask -H "$auth" -H 'Content-Type: application/json' -d @- "$serving/predict/$model_id" | jq .

say "Score the whole file as a job"
batch=$(ask -H "$auth" -F "file=@$data" -F output_format=csv "$api/api/v1/models/$model_id/batch-predictions/upload")
wait_job "$(jq -r .job_id <<<"$batch")"
ask -H "$auth" "$api/api/v1/batch-predictions/$(jq -r .id <<<"$batch")/download" | { head -3; cat >/dev/null; }

say "A mistake is named"
curl --silent -H "$auth" --json '{"input_data": {"age": "old"}}' "$serving/predict/$model_id" | jq '{type, status, detail, errors}'

say "Tidy up"
ask -H "$auth" -X POST "$api/api/v1/models/$model_id/undeploy" | jq .status
ask -H "$auth" -X DELETE "$api/api/v1/projects/$project" | jq .contents
