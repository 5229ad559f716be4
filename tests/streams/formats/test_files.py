"""Opening: plain, gzipped whatever the name, standard input, and everything unreadable."""

import gzip
import io

import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.files import Source, check_readable, open_output
from uncertain.streams.formats.registry import open_log, sniff_format

LINE = b'{"id":1,"action":0,"y":1}\n'


def test_gzip_is_known_by_its_bytes(tmp_path):
    path = tmp_path / "misnamed.txt"
    path.write_bytes(gzip.compress(LINE))
    assert list(Source(str(path))) == [LINE]


def test_standard_input():
    source = Source("-", io.BytesIO(b"\n" + LINE))
    assert source.head == LINE
    assert source.name == "<stdin>"
    assert list(source) == [b"\n", LINE]


# A fixed time stamp and ids: parallel test processes must collect the same names.
@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8b", b"\x1f\x8bjunk", gzip.compress(LINE, mtime=0)[:-4]],
    ids=["header", "junk", "cut"],
)
def test_broken_gzip_is_one_line(tmp_path, content):
    path = tmp_path / "log.ndjson.gz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="broken gzip"):
        list(Source(str(path)))


def test_unreadable_paths_are_refused_before_work(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        check_readable([str(tmp_path / "absent")])
    with pytest.raises(UsageError, match="folder"):
        check_readable([str(tmp_path)])
    with pytest.raises(UsageError, match="cannot be read"):
        Source(str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="cannot be written"):
        open_output(str(tmp_path / "absent" / "out"))


def test_output_is_compressed_by_name(tmp_path):
    path = str(tmp_path / "log.ndjson.gz")
    with open_output(path) as file:
        file.write(LINE)
    assert list(Source(path)) == [LINE]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a", LINE, "ndjson"),
        ("a.jsonl", b"rubbish", "ndjson"),
        ("a.csv", b"x,y\n1,2\n", "table"),
        ("a.csv", b",timestamp,item_id,user-item_affinity_0\n", "openbandit"),
        ("a.csv", b'id,"x.0",action,y\r\n1,2,0,1\n', "csv"),
        ("a.csv", b"id,x.0,colour,y\n1,2,0,1\n", "table"),
        ("a.txt", b"PAR1", "parquet"),
        ("a", b"PK\x03\x04", "npz"),
        ("a.npz", b"rubbish", "npz"),
        ("a.json", b'{"_label_cost":0,"c":{}}\n', "dsjson"),
        ("a.json", b'{"_label_ca":{"action":1,"cost":0}}\n', "dsjson"),
        ("a.json", b'{"id":"_multi","y":0}\n', "ndjson"),
        ("a.dsjson", b"[1]\n", "dsjson"),
        ("a.txt", b"1:0.5:0.25 'me |x a\n", "vw"),
        ("a.txt", b"shared |x a\n", "vw"),
        ("a.txt", b"| a b\n", "vw"),
        ("a.txt", b"ca 1:2:0.5 | a\n", "vw"),
        ("a.txt", b"time:1:2,b|c\n", "table"),
    ],
)
def test_formats_are_told_apart(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    source = Source(str(path))
    assert sniff_format(source) == expected
    source.close()


def test_a_named_label_makes_a_table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,action,y\n1,2,0\n2,3,1\n")
    assert open_log(str(path)).format_name == "csv"
    assert open_log(str(path), label="y").format_name == "table"


def test_what_is_no_log_says_how_to_name_it(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"hello\n")
    with pytest.raises(UsageError, match="--format"):
        open_log(str(path))
    with pytest.raises(UsageError, match='did you mean "ndjson"'):
        open_log(str(path), "ndjsn")
