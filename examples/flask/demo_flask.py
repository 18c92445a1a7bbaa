# SPDX-License-Identifier: Apache-2.0
"""A Flask application with a form, a file upload and a page that is streamed."""

import hashlib
import time

from flask import Flask, Response, render_template, request, stream_with_context

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024


@app.get("/")
def index():
    return render_template("index.html")


@app.route("/form", methods=["GET", "POST"])
def form():
    name = request.form.get("name", "").strip()
    return render_template("form.html", name=name, posted=request.method == "POST")


@app.route("/upload", methods=["GET", "POST"])
def upload():
    received = None
    if request.method == "POST" and "file" in request.files:
        file = request.files["file"]
        digest, size = hashlib.sha256(), 0
        while block := file.stream.read(65536):
            digest.update(block)
            size += len(block)
        received = {"name": file.filename, "size": size, "sha256": digest.hexdigest()}
    return render_template("upload.html", received=received)


@app.get("/stream")
def stream():
    """Ten lines, one every 200 ms: each must reach the client when it is yielded."""
    lines = min(request.args.get("lines", 10, type=int), 100)

    def body():
        for number in range(1, lines + 1):
            yield f"line {number} of {lines} at {time.time():.3f}\n"
            if number < lines:
                time.sleep(0.2)

    return Response(stream_with_context(body()), mimetype="text/plain")


@app.get("/error")
def error():
    """The traceback goes to httpd's error log, the client sees status 500."""
    raise RuntimeError("this page raises on purpose")
