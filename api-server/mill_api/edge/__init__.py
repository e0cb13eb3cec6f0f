"""The api-server's edge: pure ASGI layers around the application, put together by `layers.surround`."""
