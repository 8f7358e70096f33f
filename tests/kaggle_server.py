"""A local web server that answers as Kaggle's API and its file storage do."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = '"1"'


class KaggleServer(ThreadingHTTPServer):
    """Serves one data set; what it does wrong is set by its attributes.

    Attributes
    ----------
    archive : bytes
        The data set.
    slug : str
        Its name.
    token : str or None
        The only one that is let in; None: anonymous users are.
    refusal : (int, dict) or None
        HTTP status and further headers of every answer of the API.
    cuts : list of int
        After how many bytes the next downloads break off; where it is empty they don't.
    storage : int or None
        HTTP status of the answers of the storage that follow on a download that broke off.
    seen : list of (str, dict)
        Path and headers of each request.
    """

    daemon_threads = True

    def __init__(self, slug, archive):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.slug, self.archive = slug, archive
        self.token = self.refusal = self.storage = None
        self.cuts, self.seen = [], []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return super().__enter__()

    def __exit__(self, *error):
        self.shutdown()
        super().__exit__(*error)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def ranges(self):
        """From where each download began, "" for the beginning."""
        return [headers.get("Range", "") for path, headers in self.seen if path == "/storage"]


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        server.seen.append((self.path, dict(self.headers)))
        if self.path.endswith("/IntrospectToken"):
            active = request["token"] == server.token
            return self.answer(200, {"active": active, "username": "a" if active else ""})
        assert self.path == "/v1/datasets.DatasetApiService/DownloadDataset"
        if server.refusal:
            return self.refuse(*server.refusal)
        if server.token and self.headers["Authorization"] != f"Bearer {server.token}":
            return self.refuse(401, {})
        if request["datasetSlug"] != server.slug:
            return self.refuse(404, {})
        # Another name of this machine, so that it counts as another one.
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{server.server_port}/storage")
        self.end_headers()

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, dict(self.headers)))
        if server.storage and len(server.ranges()) > 1:
            return self.answer(server.storage, {"Error": "the address has expired"})
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range") == ETAG else 0
        self.send_response(206 if start else 200)
        for name, value in {
            "Content-Type": "application/zip",
            "Content-Length": len(server.archive) - start,
            "Accept-Ranges": "bytes",
            "ETag": ETAG,
            "Last-Modified": "Mon, 03 Jan 2022 10:00:00 GMT",
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        end = start + server.cuts.pop(0) if server.cuts else None
        self.wfile.write(server.archive[start:end])

    def refuse(self, status, headers):
        self.answer(status, {"code": status, "message": "refused"}, headers)

    def answer(self, status, content, headers=()):
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **dict(headers),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
