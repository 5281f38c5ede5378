"""The HTTP application: what every request passes, the web app's files, the listeners.

It knows no capability; the node hands it their routers.
"""
