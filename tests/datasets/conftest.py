"""A web server on the loopback interface that answers from a script."""

import hashlib
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class ScriptedServer:
    """Serve one body; each request takes the next answer, the last one for good.

    Answers: an HTTP status; "truncated" closes the connection half-way; bytes are
    sent in place of the body.
    """

    def __init__(self, body):
        self.body = body
        self.answers = [200]
        self.n_requests = 0
        self._server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self, port=0):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.n_requests += 1
                several = len(outer.answers) > 1
                answer = outer.answers.pop(0) if several else outer.answers[0]
                body = answer if isinstance(answer, bytes) else outer.body
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                half = len(body) // 2 if answer == "truncated" else len(body)
                self.wfile.write(body[:half])

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=5)
            self._server = None


def _make_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def make_zip():
    """Function that writes a zip file of texts by name and returns its SHA-256."""
    return _make_zip


@pytest.fixture
def server(tmp_path, monkeypatch, make_zip):
    """A started server whose body is a MovieLens archive of three ratings."""
    # A proxy that the environment names could not reach this machine's loopback.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    archive = tmp_path / "archive.zip"
    make_zip(
        archive,
        {
            "ml-tiny/ratings.csv": "userId,movieId,rating,timestamp\n"
            "1,10,4.0,100\n1,20,2.5,0\n2,10,5.0,7\n",
            "ml-tiny/movies.csv": "movieId,title,genres\n10,Ten,Drama\n20,Two,War\n",
            "ml-tiny/README.txt": "not needed",
        },
    )
    server = ScriptedServer(archive.read_bytes())
    server.start()
    yield server
    server.stop()
