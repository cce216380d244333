"""Build from and export to S3, on moto's server, which is stopped in the middle: `make test-extras`."""

import threading

import pytest
from conftest import OPTIONS
from test_dataset import tree
from test_export import files
from test_remote import PAIR, content, without_surveys

from lolblur_synth.dataset import build, export, manifest
from lolblur_synth.errors import ForeignOutput, InputError
from lolblur_synth.files import remote

pytestmark = pytest.mark.extra
s3fs = pytest.importorskip("s3fs")
moto_app = pytest.importorskip("moto.moto_server.werkzeug_app")
serving = pytest.importorskip("werkzeug.serving")
SET = ["resize.width=96", "resize.height=64", "dataset.pairs=4", "dataset.test_fraction=0.5"]


class Server:
    """S3 on this machine. A stop keeps what is stored, and the same port afterwards."""

    def __init__(self):
        self.port = 0
        self.start()

    def start(self):
        app = moto_app.DomainDispatcherApplication(moto_app.create_backend_app)
        self.server = serving.make_server("127.0.0.1", self.port, app, threaded=True)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch, street_videos):
    """A server with the bucket "bucket" and the videos in s3://bucket/videos."""
    server = Server()
    for name, value in {"ENDPOINT_URL": f"http://127.0.0.1:{server.port}", "ACCESS_KEY_ID": "a",
                        "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv(remote.TRIES, "1")  # of the workers
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    if system.exists("bucket"):  # moto keeps what earlier tests stored, as long as the process runs
        system.rm("bucket", recursive=True)
    system.mkdir("bucket")
    for path in street_videos.iterdir():
        system.put_file(str(path), f"bucket/videos/{path.name}")
    yield server
    server.stop()


def test_a_build_from_s3_is_that_from_a_disk(server, reference, tmp_path, run):
    done = run("build", "s3://bucket/videos", tmp_path / "out", *OPTIONS, timeout=300)
    assert done.code == 0, done.err
    assert without_surveys(tree(tmp_path / "out")) == without_surveys(reference.tree)


@pytest.mark.parametrize("form", export.FORMS)
def test_an_export_to_s3_has_the_files_of_a_local_one(server, reference, tmp_path, form):
    export.export(reference.out, tmp_path / "local", form)
    export.export(reference.out, f"s3://bucket/{form}", form)
    stored = content(f"s3://bucket/{form}")
    assert stored.pop("export.json")
    assert stored == files(tmp_path / "local")


@pytest.mark.parametrize("moment", ["surveyed", "plan"])
def test_a_network_that_is_lost_stops_the_build_and_the_same_command_continues(server, reference, tmp_path, moment):
    def lose(kind, fields):
        if kind == moment:
            server.stop()

    words = ("s3://bucket/videos", tmp_path / "out")
    with pytest.raises(InputError, match="no proper answer from the store") as caught:
        build.build(*words, set=SET, jobs=1, listener=lose)
    assert (caught.value.reason, caught.value.exit_code) == ("network", 5)
    assert "it continues" in caught.value.hint
    server.start()
    assert build.build(*words, set=SET, jobs=1).failed == ()
    assert without_surveys(tree(tmp_path / "out")) == without_surveys(reference.tree)


def test_a_server_that_stops_in_mid_upload(server, reference, tmp_path):
    export.export(reference.out, tmp_path / "local", "flat", PAIR)

    def lose(done, total):
        if done == total // 2:
            server.stop()

    with pytest.raises(ForeignOutput, match="no proper answer from the store") as caught:
        export.export(reference.out, "s3://bucket/e", "flat", PAIR, lose)
    assert caught.value.exit_code == 10
    server.start()
    s3fs.S3FileSystem.clear_instance_cache()
    half = content("s3://bucket/e")
    assert "export.json" not in half
    assert 0 < len(half) < len(files(tmp_path / "local"))
    export.export(reference.out, "s3://bucket/e", "flat", PAIR)
    stored = content("s3://bucket/e")
    assert stored.pop("export.json")
    assert stored == files(tmp_path / "local")
    assert manifest.read(reference.out)


@pytest.mark.parametrize(("word", "message"), [("s3://nothing/videos", "no such bucket"), ("s3://bucket/x", "no such")])
def test_what_is_not_there(server, tmp_path, word, message, run):
    done = run("build", word, tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (InputError.exit_code, 2), done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_an_export_to_no_bucket(server, reference):
    with pytest.raises(ForeignOutput, match="no such bucket"):
        export.export(reference.out, "s3://nothing/e", "flat")
