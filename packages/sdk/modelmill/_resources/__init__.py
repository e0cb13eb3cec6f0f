"""One module per part of the API; `modelmill._client.Client` holds an instance of each."""
