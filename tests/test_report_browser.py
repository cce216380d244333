"""The report in a real browser: headless Chromium, opened from the disk, as a user opens it.

Needs Selenium, and Debian's `chromium` and `chromium-driver` (or Chrome and its driver); skipped without them.
Screenshots at three widths go to the folder that LOLBLUR_SCREENSHOTS names.
"""

import base64
import os
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from test_report import Figures, built, record, render

from lolblur_synth.dataset import report
from lolblur_synth.frames import light_to_srgb, srgb_to_light

Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys

pytestmark = pytest.mark.extra

MAX_OPENING_SECONDS = 2.0  # of a page of 12,000 pairs
WIDTHS = (420, 900, 1600)  # px
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


def open_browser(*arguments: str):
    from selenium import webdriver

    if not BROWSER or not DRIVER:
        pytest.skip("no Chromium with its driver: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def browser():
    driver = open_browser("--window-size=1600,1000")
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    out = built(tmp_path_factory.mktemp("browser") / "a dataset", clips=3, count=4, width=280)
    return report.write(out).as_uri()


@pytest.fixture
def opened(browser, url):
    """The browser with the page, freshly opened; afterwards nothing may stand in its console."""
    browser.get("about:blank")
    size(browser, 1600)
    browser.get_log("browser")
    browser.get(url)
    until(browser, "return document.getElementById('image-left').naturalWidth > 0")
    yield browser
    assert browser.get_log("browser") == []


def size(browser, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 700},
    )


def until(browser, script: str, seconds: float = 10.0):
    ends = time.monotonic() + seconds
    while not (value := browser.execute_script(script)):
        assert time.monotonic() < ends, f"never true: {script}"
        time.sleep(0.02)
    return value


def press(browser, *keys: str) -> None:
    browser.switch_to.active_element.send_keys(*keys)


def text(browser, css: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).innerText", css)


def click(browser, css: str, number: int = 0) -> None:
    browser.execute_script("document.querySelectorAll(arguments[0])[arguments[1]].click()", css, number)


def middle_pixel(browser) -> float:
    """Mean code value around the middle of the right half of the stage, from a screenshot."""
    import cv2
    import numpy as np

    box = browser.execute_script("const b=document.getElementById('stage').getBoundingClientRect();"
                                 "return [b.left + scrollX, b.top + scrollY, b.width, b.height]")  # fmt: skip
    clip = {"x": box[0] + 0.7 * box[2], "y": box[1] + 0.4 * box[3], "width": 40, "height": 40, "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return float(cv2.imdecode(np.frombuffer(base64.b64decode(shot["data"]), np.uint8), 1).mean())


def test_the_slider_moves_by_mouse_and_by_keys(opened):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    split = "return getComputedStyle(document.getElementById('pane-left')).clipPath"
    assert opened.execute_script(split) == "inset(0px 50% 0px 0px)"
    stage = opened.find_element(By.ID, "stage")
    width = stage.size["width"]
    ActionChains(opened).move_to_element(stage).click_and_hold().move_by_offset(width // 4, 0).release().perform()
    assert 24 < float(re.search(r"px ([\d.]+)%", opened.execute_script(split))[1]) < 26
    opened.find_element(By.ID, "slider").send_keys(Keys.ARROW_LEFT * 4)  # left arrow
    assert 26 < float(re.search(r"px ([\d.]+)%", opened.execute_script(split))[1]) < 28


def test_the_filters_filter_and_chips_undo_them(opened):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    search = opened.find_element(By.ID, "search")
    for words, pairs in (("clip1.mp4", 4), ("ISO nothing", 0), ("noise 0001/", 4), ("", 12)):
        search.send_keys(Keys.CONTROL + "a", Keys.DELETE)
        search.send_keys(words)
        assert text(opened, "#count") == f"{pairs} of 12 pairs"
        assert len(opened.find_elements(By.CSS_SELECTOR, "#rows [role=option]")) == pairs
    Select(opened.find_element(By.ID, "split")).select_by_visible_text("test")
    assert text(opened, "#count") == "4 of 12 pairs"
    Select(opened.find_element(By.ID, "kind")).select_by_visible_text("without noise")
    assert text(opened, "#count") == "0 of 12 pairs"
    for select in ("kind", "split"):
        Select(opened.find_element(By.ID, select)).select_by_index(0)
    click(opened, ".bars button:not([disabled])")
    assert opened.find_element(By.CSS_SELECTOR, ".bars button[aria-pressed=true]")
    assert len(opened.find_elements(By.CSS_SELECTOR, "#chips button")) == 1
    click(opened, "#chips button")
    assert text(opened, "#count") == "12 of 12 pairs"
    assert not opened.find_elements(By.CSS_SELECTOR, ".bars button[aria-pressed=true]")


def test_a_bar_and_a_cell_together_list_what_is_in_both(opened):
    click(opened, ".cells button")
    first = text(opened, "#count")
    click(opened, ".bars.few button")
    assert len(opened.execute_script("return [...document.querySelectorAll('#chips button')]")) == 2
    assert int(text(opened, "#count").split()[0]) <= int(first.split()[0])


def test_a_two_valued_draw_has_two_bars(browser, tmp_path):
    pairs = [record(0, number, window=(7, 9)[number % 2]) for number in range(10)]
    page = tmp_path / "report.html"
    page.write_text(render(tmp_path, pairs, [Figures()] * 10))
    browser.get(page.as_uri())
    script = ("return [...document.querySelector(`[aria-label='Window (source frames)']`).querySelectorAll('button')]"
              ".map((b) => b.getAttribute('aria-label'))")  # fmt: skip
    assert browser.execute_script(script) == ["7: 5 pairs", "9: 5 pairs"]
    browser.get_log("browser")  # its images do not exist


def test_zoom_is_the_same_for_both_images_and_keeps_the_middle(opened):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    boxes = ("return ['left','right'].map((s) => {const b=document.getElementById('image-'+s).getBoundingClientRect();"
             "return [b.left,b.top,b.width,b.height]})")  # fmt: skip
    for zoom, width in (("1", 280), ("2", 560), ("4", 1120)):
        click(opened, f"#zoom button[data-value='{zoom}']")
        left, right = opened.execute_script(boxes)
        assert left == right
        assert left[2] == width
    before = opened.execute_script(boxes)[0]
    stage = opened.find_element(By.ID, "stage")
    ActionChains(opened).move_to_element_with_offset(stage, 200, 0).click_and_hold().move_by_offset(
        -40, -30
    ).release().perform()
    left, right = opened.execute_script(boxes)
    assert left == right
    assert [before[0] - left[0], before[1] - left[1]] == [40, 30]
    press(opened, "z")
    fitted = opened.execute_script("return document.getElementById('stage').getBoundingClientRect().width")
    assert opened.execute_script(boxes)[0][2] == pytest.approx(fitted, abs=1)


def test_space_flickers_and_escape_ends_it(opened):
    bright = middle_pixel(opened)
    press(opened, " ")
    dark = middle_pixel(opened)
    press(opened, " ")
    assert middle_pixel(opened) == bright
    assert dark < 0.6 * bright, "right of the slider the dark image came into view"
    press(opened, Keys.ESCAPE)
    assert opened.execute_script("return document.getElementById('flicker').getAttribute('aria-pressed')") == "false"


def test_gain_acts_on_dark_frames_in_linear_light(opened):
    press(opened, " ")
    dark = middle_pixel(opened)
    press(opened, "g")
    light = 4 * srgb_to_light(torch.tensor(dark / 255))
    assert middle_pixel(opened) == pytest.approx(255 * light_to_srgb(light).item(), rel=0.03)
    press(opened, " ")
    bright = middle_pixel(opened)
    press(opened, "g")
    assert middle_pixel(opened) == bright, "the ground truth is bright already"


def test_the_difference_of_equal_images_is_black(opened):
    press(opened, "4")
    press(opened, "d")
    assert middle_pixel(opened) == 0
    press(opened, "1")
    assert middle_pixel(opened) > 10


def test_digits_choose_the_folder(opened):
    for number, folder in enumerate(
        ("low_blur_noise", "low_blur", "low_sharp", "high_sharp_scaled", "high_sharp_original")
    ):
        press(opened, str(number + 1))
        assert text(opened, "#label-left") == folder
        until(opened, f"return document.getElementById('image-left').src.includes('/{folder}/')")


def test_keys_walk_through_pairs_and_clips_and_the_address_follows(opened):
    for key, pair in (
        ("j", "0000/0001"),
        ("j", "0000/0002"),
        ("k", "0000/0001"),
        ("J", "0001/0000"),
        ("K", "0000/0000"),
    ):
        press(opened, key)
        assert text(opened, "#title") == pair
        assert opened.execute_script("return location.hash") == f"#{pair}"
    assert "source frames\n0 to 10" in text(opened, "#facts").replace("\t", "\n")
    assert opened.execute_script("return document.querySelector('#strip [aria-current=true]').dataset.pair") == "0"


def test_a_link_opens_its_pair_and_a_warning_lists_its_pairs(opened, url):
    opened.get("about:blank")
    opened.get(f"{url}#0001/0002")
    assert text(opened, "#title") == "0001/0002"
    opened.execute_script("location.hash = '#0002'")
    until(opened, "return document.getElementById('title').textContent === '0002/0000'")
    assert text(opened, "a[data-warning]").startswith("3 of 12 (25 %) pairs hold motion that could not be followed")
    click(opened, "a[data-warning]")
    assert text(opened, "#count") == "3 of 12 pairs"
    assert text(opened, "#title") == "0000/0003"


def test_the_command_is_copied_or_selected(opened):
    click(opened, "#copy")
    until(opened, "return /copied|selected/.test(document.getElementById('copy').textContent)")
    assert text(opened, "#command") == "lolblur-synth build clip0.mp4 again/ --recipe 'a dataset/recipe.toml'"


def test_every_control_has_a_name_and_a_place_in_the_tab_order(opened):
    nameless = opened.execute_script("""
      return [...document.querySelectorAll('button, select, input, a, [role=listbox]')].filter((e) => e.offsetParent
        && !(e.getAttribute('aria-label') || e.textContent.trim() || e.title || (e.labels || []).length))
        .map((e) => e.outerHTML)""")
    assert nameless == []
    assert opened.execute_script("return [...document.images].filter((i) => !i.hasAttribute('alt')).length") == 0
    stops = opened.execute_script("""
      return [...document.querySelectorAll('.plot')].map((plot) =>
        [...plot.querySelectorAll('button')].filter((button) => button.tabIndex === 0).length)""")
    assert set(stops) == {1}, "the Tab key stops once at a plot"
    opened.execute_script("document.querySelectorAll('.cells')[1].querySelector('button').focus()")
    press(opened, Keys.ARROW_RIGHT, Keys.ENTER)
    assert opened.execute_script("return document.activeElement.getAttribute('aria-pressed')") == "true"
    press(opened, Keys.ENTER)
    opened.execute_script("document.getElementById('list').focus()")
    press(opened, Keys.ARROW_DOWN)
    assert text(opened, "#title") == "0000/0001"
    assert (
        opened.execute_script("return document.getElementById('list').getAttribute('aria-activedescendant')") == "row-1"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_the_width(opened, width, scheme):
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    size(opened, width)
    until(opened, f"return innerWidth === {width}")
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    columns = opened.execute_script("return new Set([...document.querySelectorAll('main > *')]"
                                    ".map((e) => Math.round(e.getBoundingClientRect().left))).size")  # fmt: skip
    assert columns == {420: 1, 900: 2, 1600: 3}[width]
    ground = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(20, 22, 26)"}[scheme]
    if folder := os.environ.get("LOLBLUR_SCREENSHOTS"):
        height = opened.execute_script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = opened.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        Path(folder, f"report-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))


def test_hostile_names_run_nothing(browser, tmp_path):
    from test_report import HOSTILE

    pair = record()
    pair["source"]["name"] = pair["draws"]["noise"]["lamp"] = HOSTILE
    page = tmp_path / "report.html"
    page.write_text(render(tmp_path, [pair]))
    browser.get(page.as_uri())
    assert HOSTILE in browser.execute_script("return document.getElementById('facts').textContent")
    assert browser.execute_script("return document.querySelectorAll('[onerror]').length") == 0
    browser.get_log("browser")  # its images do not exist


def test_twelve_thousand_pairs_open_in_two_seconds(browser, tmp_path):
    pairs = [record(clip, number, "train" if clip < 170 else "test", exposure=0.04 + (clip * 60 + number) * 1e-5)
             for clip in range(200) for number in range(60)]  # fmt: skip
    measured = [Figures(psnr=5 + i / 997, ssim=i / 12347, level=10 + i / 433, truth=30 + i / 511, blur=i % 40 / 1.7,
                        noise={"luma_lag1": 0.3, "sigma_green": i / 9973}) for i in range(12_000)]  # fmt: skip
    page = tmp_path / "report.html"
    page.write_text(render(tmp_path, pairs, measured, thumbnails=True))
    browser.get("about:blank")
    browser.get(page.as_uri())
    ready = browser.execute_script("return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert ready < 1000 * MAX_OPENING_SECONDS
    assert text(browser, "#count") == "12000 of 12000 pairs"
    assert browser.execute_script("return document.querySelectorAll('.row').length") < 100, "a virtual list"
    browser.execute_script("document.getElementById('list').focus()")
    press(browser, Keys.END)
    assert text(browser, "#title") == "0199/0059"
    browser.get_log("browser")  # its images do not exist


def test_without_scripts_the_contact_sheet_is_all_there_is(url):
    driver = open_browser("--blink-settings=scriptEnabled=false", "--window-size=900,900")
    try:
        driver.get(url)
        from selenium.webdriver.common.by import By

        assert not driver.find_element(By.ID, "viewer").is_displayed()
        figures = driver.find_elements(By.CSS_SELECTOR, "#sheet figure")
        assert len(figures) == 12
        assert all(figure.is_displayed() for figure in figures)
        if folder := os.environ.get("LOLBLUR_SCREENSHOTS"):
            driver.save_screenshot(str(Path(folder, "report-no-scripts.png")))
    finally:
        driver.quit()
