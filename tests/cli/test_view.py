"""`rsr view`: over plain HTTP, and in a real browser."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from rsr_cli.cli.viewer import search
from rsr_cli.cli.viewer.search import Search, Wanted
from rsr_cli.cli.viewer.server import Viewer
from rsr_cli.storage.locate import locate
from rsr_cli.store.groups import read_groups
from rsr_cli.store.lookup import read_group
from rsr_cli.store.work_dir import WorkDir
from tests.conftest import Rsr
from tests.rsr_processes import start_rsr, wait_until_all_have_ended
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply
from tests.work_dirs import sums, write_config, write_rows

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def reply(ask: Ask) -> Reply:
    """Every third prompt is right, the next is cut; all say something hostile, number 5 something rare."""
    number = int(ask.prompt.split()[2])
    text = (
        f"{HOSTILE} {'a rÄre word' if number == 5 else ''} {ask.k} \\boxed{{{number + (7 if number % 3 == 0 else 8)}}}"
    )
    return Reply(text, "length" if number % 3 == 1 else "stop", HOSTILE, completion_tokens=10 + number)


@pytest.fixture
def work_dir(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, rsr: Rsr, model_server: ModelServer) -> WorkDir:
    """Three shards; made once and copied."""
    if not (made := tmp_path_factory.getbasetemp() / "viewed").exists():
        model_server.scenario.reply = reply
        config = write_config(
            tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(12)), model_server.base_url,
            shard={"size": 5},
            sampling={"max_rollouts": 3, "step_size": 3, "max_steps": 1, "early_stop": False},
            formatter=[{"type": "sft"}],
        )  # fmt: skip
        outcome = rsr("run", config, "-w", made)
        assert outcome.exit_code == 0, outcome.stderr
    shutil.copytree(made, tmp_path / "w")
    return WorkDir(locate(str(tmp_path / "w")))


@contextmanager
def viewing(work_dir: WorkDir) -> Iterator[str]:
    """The URL of a viewer that runs as long as the block."""
    loop, ready, url = asyncio.new_event_loop(), threading.Event(), []
    done = asyncio.Event()

    async def serve() -> None:
        async with Viewer(work_dir) as viewer:
            url.append(viewer.url)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield url[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def get(url: str, **headers: str) -> tuple[int, bytes, Any]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def ids(url: str, **query: object) -> list[str]:
    found, after = [], {"shard": 0, "place": 0}
    while after:
        page = json.loads(get(f"{url}prompts?{urlencode(query | after)}")[1])
        found += [item["id"] for item in page["prompts"]]
        after = dict(zip(("shard", "place"), page["next"], strict=True)) if page["next"] else {}
    return found


def test_only_who_knows_the_url_reads_and_only_from_here(work_dir: WorkDir) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in Path(str(work_dir.root)).rglob("*"))
    with viewing(work_dir) as url:
        root = url.split("/")[2]
        assert url.startswith("http://127.0.0.1:") and len(url.split("/")[3]) >= 32
        status, body, headers = get(url)
        policy = headers["Content-Security-Policy"]
        assert status == 200 and "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        nonce = policy.partition("'nonce-")[2].partition("'")[0].encode()
        assert body.count(b'nonce="' + nonce) == 2 == body.count(b"nonce=") and b"://" not in body
        assert nonce not in get(url)[1], "a new one for each answer"
        for path in ("", "about", "prompts", "prompt"):
            assert get(f"http://{root}/{'x' * 32}/{path}")[0] == 404
            assert get(url + path, Host="rebound.example:80")[0] == 421
            assert get(url + path, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
        assert get(f"http://{root}/")[0] == 404 == get(f"{url}../../etc/passwd")[0]
        for path in ("nothing", "prompt?shard=0&id=none", "prompt?shard=77&id=sum-0"):
            status, body, headers = get(url + path)
            assert (status, headers["X-Content-Type-Options"], headers["Cache-Control"]) == (404, "nosniff", "no-store")
        assert get(f"{url}prompts?shard=-1")[0] == 400 == get(f"{url}prompts?least=9e9")[0]
        request = urllib.request.Request(f"{url}about", data=b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        assert refused.value.code == 404
    assert before == sorted((path, path.stat().st_mtime_ns) for path in Path(str(work_dir.root)).rglob("*"))


def test_prompts_are_filtered_page_by_page(work_dir: WorkDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_PAGE", 2)
    every = [f"sum-{number}" for number in range(12)]
    with viewing(work_dir) as url:
        assert ids(url) == every
        assert ids(url, outcome="pass") == every[::3] and ids(url, outcome="truncated") == every[1::3]
        assert ids(url, outcome="fail") == every[2::3]
        assert ids(url, least=15, most=17) == every[5:8] and ids(url, status="none") == every[1::3]
        assert ids(url, text="RäRE WORD") == ["sum-5"]
        assert ids(url, text="is 11 ") == ids(url, id="m-11") == ["sum-11"]
        assert ids(url, outcome="pass", least=15) == ["sum-6", "sum-9"] and ids(url, outcome="nothing") == []


def test_a_prompt_is_read_alone_as_it_is_read_with_all(work_dir: WorkDir) -> None:
    for shard in work_dir.shards():
        for group in read_groups(work_dir, shard):
            assert read_group(work_dir, shard, group.prompt.id) == group
        assert read_group(work_dir, shard, "sum") is None


def test_a_damaged_or_moved_work_dir_is_an_error_on_the_page(work_dir: WorkDir) -> None:
    root = Path(str(work_dir.root))
    with viewing(work_dir) as url:
        (root / "rollout/shard_0001.parquet").write_bytes(b"nothing")
        status, body, _ = get(f"{url}prompts?shard=1")
        assert status == 500 and "is damaged" in json.loads(body)["error"]
        shutil.move(root, root.with_name("elsewhere"))
        assert get(f"{url}about")[0] == 500 and "not a work dir" in json.loads(get(f"{url}about")[1])["error"]


def test_a_run_is_followed_while_it_goes_on(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = reply
    model_server.scenario.latency = lambda ask: 0.0 if int(ask.prompt.split()[2]) < 4 else 60.0
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(8)), model_server.base_url)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    looking = Search(WorkDir(locate(str(tmp_path / "w"))))
    version = looking.about()["version"]
    process = start_rsr("sample", "-w", tmp_path / "w", output=tmp_path / "log")
    try:
        end = time.monotonic() + 60
        while not any(item["outcomes"] for item in looking.page(Wanted(), 0, 0)["prompts"][:4]):
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.05)
        about, page = looking.about(), looking.page(Wanted(text="hat is"), 0, 0)["prompts"]
        assert about["version"] != version and len(page) == 8 and not page[7]["outcomes"]
        key = next(item["id"] for item in page if item["outcomes"])
        shown = looking.prompt(0, key)
        assert shown is not None and HOSTILE in (shown["attempts"][0]["response"] or HOSTILE)
    finally:
        process.kill()
        process.join()
        wait_until_all_have_ended(tmp_path / "log")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")
def test_the_page_in_a_browser(work_dir: WorkDir) -> None:
    from playwright.sync_api import expect, sync_playwright

    said: list[str] = []
    with viewing(work_dir) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(url) else None)
        page.goto(url)
        expect(page.locator("#list li")).to_have_count(12)
        for _ in range(2):
            page.keyboard.press("j")
        expect(page.locator("#detail h2")).to_have_text("sum-1")
        page.keyboard.press("k")
        expect(page.locator("#detail h2")).to_have_text("sum-0")
        first = page.locator(".attempt").first
        assert HOSTILE in first.locator(".response").inner_text()
        assert first.locator("mark").all_inner_texts() == ["7", "7"]
        assert page.locator(".attempt").count() == 3 and "pass" in first.locator("h3").inner_text()
        page.keyboard.press("t")
        assert HOSTILE in first.locator(".thinking pre").inner_text()
        page.keyboard.press("/")
        page.keyboard.type("rÄre")
        page.keyboard.press("Enter")
        expect(page.locator("#list li")).to_have_count(1)
        assert "sum-5" in page.locator("#list li").inner_text()
        assert page.locator("img").count() == 0 and page.title() == "rsr view: w"
        browser.close()
    assert said == []


def test_the_command_prints_its_url(work_dir: WorkDir, tmp_path: Path) -> None:
    process = start_rsr("view", str(work_dir.root), output=tmp_path / "log")
    try:
        end = time.monotonic() + 60
        while not (told := (tmp_path / "log").read_text() if (tmp_path / "log").exists() else "").endswith("/\n"):
            assert time.monotonic() < end and process.is_alive(), told
            time.sleep(0.05)
        assert get(told.strip())[0] == 200
    finally:
        process.terminate()
        process.join(20)
    assert process.exitcode == 143
