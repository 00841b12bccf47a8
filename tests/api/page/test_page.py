"""The first page: only assets of our own, and what it shows is what the record says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from raised.db import schema

NOW = 1_750_000_000
CHROMIUM = Path("/usr/bin/chromium")


async def test_the_page_and_its_assets_come_from_here_alone(api: Any) -> None:
    page = await api.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    links = re.findall(r"(?:src|href)=\"([^\"#]+)\"", page.text)
    assert links
    for path in [*links, "/assets/stream.js"]:
        assert path.startswith("/")
        answer = await api.get(path)
        assert answer.status_code in {200, 503}, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        for foreign in re.findall(r"https?://[^\s\"'<>]+", answer.text):
            assert foreign.startswith("http://www.w3.org/"), foreign  # a namespace, never loaded


if CHROMIUM.exists():

    @pytest.mark.parametrize("width", [375, 1280])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_the_page_shows_the_record_and_lives(
        book: Any, api: Any, width: int, scheme: Any
    ) -> None:
        await book.whole()
        project = await book.project("one", target_sats=40_000, created_at=NOW)
        await book.project("<script>alert(1)</script>", created_at=NOW - 1)
        await book.investment(project, 10_000, NOW - 60)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=str(CHROMIUM), args=["--no-sandbox"]
            )
            context = await browser.new_context(
                viewport={"width": width, "height": 800}, color_scheme=scheme
            )
            page = await context.new_page()
            trouble: list[str] = []
            asked: list[str] = []
            page.on("pageerror", lambda error: trouble.append(str(error)))
            page.on("console", lambda line: trouble.append(line.text))
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(api.url)
            cards = page.locator("#projects > li")
            await cards.nth(1).wait_for()
            assert "25 % of 40,000 sats" in await cards.nth(0).inner_text()
            assert "<script>" in await cards.nth(1).inner_text()
            await page.locator("#totals", has_text="10,000 sats").wait_for()

            item = (await api.json("/api/v1/projects"))["items"][0]
            await book.investment(project, 2_000, NOW - 60)
            await book.add(
                schema.change,
                seq=1,
                type="project.confirmed",
                at=NOW,
                source="angor",
                data=json.dumps(item),
            )
            await page.locator("#feed li", has_text="one is confirmed").wait_for()
            await page.locator("#totals", has_text="12,000 sats").wait_for()
            await page.locator("#connection", has_text="live").wait_for()

            await page.keyboard.press("Tab")
            assert await page.locator(":focus").inner_text() == "Skip to projects"
            size = await page.evaluate(
                "() => [document.documentElement.scrollWidth, window.innerWidth]"
            )
            assert size[0] <= size[1], "nothing sticks out"
            await browser.close()
        assert trouble == []
        assert {url.startswith(api.url) for url in asked} == {True}
