"""The site as a reader uses it, in a browser: tabs, theme, numbers, search.

Whatever a test does, no page may write an error to the console or ask
another host for anything.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from _guide.new import with_page
from _guide.project import programs

ROOT = Path(__file__).parents[2]
REPO_URL = "https://github.com/example/guide"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What the guide's own pages may lack at some time.
EXTRA_PAGE = """\
# Extra page

Where $B$ is the batch size, the noise is $\\frac{\\sigma^2}{B}$.

On a GPU: <data value="TOPIC.gpu:anything">not measured yet</data>.

=== "Keras"

    Said of Keras.

=== "PyTorch"

    Said of PyTorch.
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site that MkDocs builds from committed results."""
    root = tmp_path_factory.mktemp("project")
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in listed.split("\0"):
        # A name is still listed when its file was just deleted.
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    topic = programs(root)[0].topic
    page = root / "docs/lab/extra-page.md"
    page.write_text(EXTRA_PAGE.replace("TOPIC", topic))
    settings = root / "mkdocs.yml"
    settings.write_text(with_page(settings.read_text(), "lab/extra-page.md"))
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"],
        cwd=root,
        env=os.environ
        | {
            "NOTEBOOKS": "1",
            "NO_MKDOCS_2_WARNING": "1",
            "REPO_URL": REPO_URL,
            "SITE_URL": "",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return root / "site"


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served, as in `python -m http.server`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = partial(Quiet, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def launch(chromium):
    """The browser: the system's Chromium, or Playwright's own."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    options = ["--disable-background-networking"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Chromium's sandbox does not work for root, as in a container.
        options.append("--no-sandbox")
    try:
        return chromium.launch(executable_path=found, args=options)
    except Error as error:
        pytest.fail(
            f"no browser: {error.message.splitlines()[0]}; run: apt-get "
            "install chromium, or: playwright install chromium",
            pytrace=False,
        )


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """Opens a path of the site; afterwards, nothing may have gone wrong."""
    wrong, contexts = [], []

    def open_page(path="", **options):
        context = browser.new_context(base_url=address, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda said: (
                said.type in ("error", "warning")
                and wrong.append(f"{page.url}: {said.text}")
            ),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:", "blob:"))
                or wrong.append(f"{page.url} asks {request.url}")
            ),
        )
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def first_bound(page):
    return page.locator("article data[role=button]").first


def lab_pages(site):
    """The paths of the studies' pages."""
    return sorted(
        f"lab/{path.parent.name}/"
        for path in (site / "lab").glob("*/index.html")
        if path.parent.name != "extra-page"
    )


def calculators(site):
    """The path of a page for each calculator by name."""
    return {
        name: path.parent.relative_to(site).as_posix() + "/"
        for path in sorted(site.rglob("index.html"))
        for name in re.findall(
            r'data-calculator="([\w-]+)"', path.read_text("utf-8")
        )
    }


def open_calculator(open_page, site, name, **options):
    """The page with the calculator, and the calculator's form."""
    page = open_page(calculators(site)[name], **options)
    form = page.locator(f"[data-calculator={name}] form")
    expect(form.locator(".calculator-result")).not_to_be_empty()
    return page, form


def tab(page, label):
    return page.locator(".tabbed-labels label", has_text=label)


def test_a_browser_that_is_not_there_is_named_with_its_command(monkeypatch):
    class Missing:
        def launch(self, **_):
            raise Error("Executable doesn't exist\nand more")

    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception) as failed:
        launch(Missing())
    assert "apt-get install chromium" in str(failed.value)
    assert "playwright install chromium" in str(failed.value)


def test_no_page_has_an_error_or_asks_another_host(site, open_page):
    pages = sorted(site.rglob("index.html"))
    assert len(pages) > 10
    page = open_page()
    for path in pages:
        page.goto(path.parent.relative_to(site).as_posix())
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_load_state("networkidle")


def test_a_request_to_another_host_would_be_seen(browser, address):
    asked = []
    page = browser.new_page(base_url=address)
    page.on("request", lambda request: asked.append(request.url))
    page.goto("")
    page.evaluate("new Image().src = 'http://127.0.0.1:9/other'")
    page.wait_for_timeout(100)
    page.close()
    assert "http://127.0.0.1:9/other" in asked


def test_tabs_stay_in_step_on_the_page_and_across_pages(site, open_page):
    page = open_page(lab_pages(site)[0])
    for label in ("PyTorch", "Keras"):
        tab(page, label).first.click()
        other = {"PyTorch": "Keras", "Keras": "PyTorch"}[label]
        for path in (None, *lab_pages(site), "lab/extra-page/"):
            if path:
                page.goto(path)
            sets = page.locator(".tabbed-set", has=tab(page, "PyTorch"))
            assert sets.count() > 0
            for number in range(sets.count()):
                shown = sets.nth(number).locator(".tabbed-labels label")
                active = shown.filter(has_text=label)
                color = "getComputedStyle(e).color"
                assert active.evaluate(f"e => {color}") != shown.filter(
                    has_text=other
                ).evaluate(f"e => {color}")
            said = page.get_by_text(f"Said of {label}.")
            if path == "lab/extra-page/":
                expect(said).to_be_visible()
                expect(page.get_by_text(f"Said of {other}.")).to_be_hidden()
        page.goto(lab_pages(site)[0])


def test_the_theme_can_be_switched_and_stays(open_page):
    page = open_page(color_scheme="light")
    body = page.locator("body")
    expect(body).to_have_attribute("data-md-color-scheme", "default")
    page.get_by_title("Switch to light mode").click()
    page.get_by_title("Switch to dark mode").click()
    expect(body).to_have_attribute("data-md-color-scheme", "slate")
    page.goto("evidence/")
    expect(body).to_have_attribute("data-md-color-scheme", "slate")
    page.get_by_title("Switch to the system's mode").click()
    expect(body).to_have_attribute("data-md-color-scheme", "default")


def test_a_figure_follows_the_theme(site, open_page):
    page = open_page(lab_pages(site)[0], color_scheme="light")
    figure = page.locator("article figure img").first

    def color():
        """The mean of what is seen where the figure is."""
        data = figure.screenshot()
        return page.evaluate(
            """async (bytes) => {
                const blob = new Blob([new Uint8Array(bytes)]);
                const image = await createImageBitmap(blob);
                const canvas = new OffscreenCanvas(image.width, image.height);
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0);
                const { data } = context.getImageData(
                    0, 0, image.width, image.height);
                return data.reduce((sum, part) => sum + part, 0) / data.length;
            }""",
            list(data),
        )

    light = color()
    page.get_by_title("Switch to light mode").click()
    page.get_by_title("Switch to dark mode").click()
    dark = color()
    assert light > 180 > 140 > dark


def test_a_bound_number_opens_with_the_keyboard_and_gives_focus_back(
    site, open_page
):
    page = open_page(lab_pages(site)[0])
    number = first_bound(page)
    for key in ("Enter", "Space"):
        number.focus()
        page.keyboard.press(key)
        dialog = page.get_by_role("dialog", name=number.inner_text())
        expect(dialog).to_be_visible()
        for term in ("Measured", "On", "With", "Date", "Measured again"):
            found = dialog.get_by_text(term, exact=True)
            expect(found.first).to_be_visible()
        # The keys that search or turn pages do nothing behind it.
        page.keyboard.press("n")
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        expect(number).to_be_focused()


def test_an_opened_number_leads_to_program_notebook_and_evidence(
    site, open_page
):
    for link in ("Program", "Notebook", "Evidence"):
        page = open_page(lab_pages(site)[0])
        first_bound(page).click()
        dialog = page.locator("dialog")
        target = dialog.get_by_role("link", name=link).first
        href = target.evaluate("link => link.href")
        assert page.request.get(href).ok
        if link == "Evidence":
            target.click()
            expect(page.locator("tr:target")).to_be_visible()


def test_a_shared_number_opens_with_the_result_of_both(site, open_page):
    page = open_page(lab_pages(site)[0])
    shared = 'article data:not([value*="_keras."], [value*="_torch."])'
    page.locator(f"{shared}[value]").first.click()
    dialog = page.locator("dialog")
    for framework in ("Keras", "PyTorch"):
        heading = dialog.get_by_role("heading", name=framework)
        expect(heading).to_be_visible()
    links = dialog.get_by_role("link", name="Evidence")
    expect(links).to_have_count(2)
    for link in links.all():
        target = page.context.new_page()
        target.goto(link.evaluate("link => link.href"))
        expect(target.locator("tr:target")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_opened_number_fits_a_phone(site, open_page, scheme):
    page = open_page(
        lab_pages(site)[0],
        viewport={"width": 360, "height": 640},
        color_scheme=scheme,
    )
    first_bound(page).click()
    dialog = page.locator("dialog")
    expect(dialog.get_by_text("Measured", exact=True).first).to_be_visible()
    box = dialog.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360
    assert box["y"] >= 0 and box["y"] + box["height"] <= 640
    # A tap beside it closes it.
    page.mouse.click(2, 2)
    expect(dialog).to_have_count(0)


def test_no_page_is_wider_than_a_phone(site, open_page):
    page = open_page(viewport={"width": 360, "height": 640})
    for path in sorted(site.rglob("index.html")):
        page.goto(path.parent.relative_to(site).as_posix())
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_number_that_is_not_measured_yet_says_so(open_page):
    page = open_page("lab/extra-page/")
    first_bound(page).press("Enter")
    dialog = page.get_by_role("dialog", name="not measured yet")
    expect(dialog).to_contain_text("have not been run on a GPU yet")


def test_without_scripts_a_number_is_plain_text(site, open_page):
    page = open_page(lab_pages(site)[0], java_script_enabled=False)
    number = page.locator("article data").first
    expect(number).to_be_visible()
    assert number.get_attribute("role") is None


def test_mathematics_needs_no_script(open_page):
    page = open_page("lab/extra-page/", java_script_enabled=False)
    expect(page.locator("article math")).to_have_count(2)
    expect(page.locator("article mfrac")).to_be_visible()


def test_a_calculator_is_used_by_keyboard_and_answers_in_words(site, open_page):
    page, form = open_calculator(open_page, site, "updates")
    form.get_by_label("num_examples").focus()
    # Keys that Material takes for the page are typed here.
    for typed in ("1,600", "256", "10"):
        page.keyboard.press("Control+A")
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    result = form.locator(".calculator-result")
    expect(result).to_have_attribute("aria-live", "polite")
    expect(result).to_contain_text("make 7 updates per epoch")
    expect(form.get_by_label("drop_last")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(result).to_contain_text("10 epochs make 60 updates.")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(result).to_contain_text("10 epochs make 60 updates.")


def test_a_wrong_number_is_told_at_its_field_and_nothing_is_lost(
    site, open_page
):
    page, form = open_calculator(open_page, site, "updates")
    result = form.locator(".calculator-result")
    before = result.inner_text()
    field = form.get_by_label("batch_size")
    good = field.input_value()
    for text, said in (
        ("", "batch_size is empty; give a whole number of at least 1"),
        ("many", "batch_size is many; give a whole number of at least 1"),
        ("-3", "batch_size is -3; give a whole number of at least 1"),
        ("2.5", "batch_size is 2.5; give a whole number of at least 1"),
        ("1e99", "batch_size is 1e99; give at most 1,000,000,000,000,000"),
    ):
        field.fill(text)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(said)
        expect(form.get_by_text(said)).to_be_visible()
        expect(field).to_have_value(text)
        expect(result).to_have_text("No result: see the marked field.")
        expect(form.locator("[aria-invalid]")).to_have_count(1)
    field.fill(good)
    expect(result).to_have_text(before)
    expect(form.locator("[aria-invalid]")).to_have_count(0)


def test_a_number_that_does_not_go_with_another_is_told_as_well(
    site, open_page
):
    page, form = open_calculator(open_page, site, "accumulation")
    form.get_by_label("num_devices").fill("2000")
    expect(form.get_by_label("global_batch_size")).to_have_attribute(
        "aria-invalid", "true"
    )
    expect(form.get_by_text("give at least 2000 examples")).to_be_visible()


def test_a_link_to_a_calculation_opens_it(site, open_page):
    page, form = open_calculator(open_page, site, "updates")
    form.get_by_label("num_examples").fill("1000")
    form.get_by_label("drop_last").select_option("is left out")
    result = form.locator(".calculator-result")
    before = result.inner_text()
    form.get_by_role("link", name="Link to this calculation").click()
    page.wait_for_url("**#calculator-updates")
    expect(result).to_have_text(before)
    expect(form).to_be_in_viewport()
    assert before.startswith("1,000 examples")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_calculator_answers_and_fits_a_phone(site, open_page, scheme):
    for name in calculators(site):
        page, form = open_calculator(
            open_page,
            site,
            name,
            viewport={"width": 360, "height": 640},
            color_scheme=scheme,
        )
        expect(form.locator(".calculator-result")).to_have_text(
            re.compile(r"\d.*\.$")
        )
        expect(form.locator("[aria-invalid]")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for control in form.locator("input, select").all():
            box = control.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 360
            assert control.evaluate("control => control.labels.length") == 1


def test_a_prediction_of_memory_stands_beside_what_was_measured(
    site, open_page
):
    page, form = open_calculator(open_page, site, "memory")
    network = form.get_by_label("Network")
    measured = form.locator("thead", has_text="Measured")
    for label in ("Perceptron, Keras", "Transformer, PyTorch"):
        network.select_option(label)
        expect(measured).to_be_visible()
        assert form.locator("tbody tr").count() > 2
    link = form.get_by_role("link", name="Evidence")
    assert page.request.get(link.evaluate("link => link.href")).ok
    # With another number it is not the network that was measured.
    form.get_by_label("per_example").fill("9")
    expect(measured).to_have_count(0)
    expect(network).to_have_value("")


def test_without_scripts_a_calculator_says_its_formula(site, open_page):
    for name, path in calculators(site).items():
        page = open_page(path, java_script_enabled=False)
        place = page.locator(f"[data-calculator={name}]")
        expect(place).to_be_visible()
        assert place.inner_text().strip()
        expect(place.locator("form")).to_have_count(0)


def test_search_finds_a_page_and_opens_it(open_page):
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("extra page", delay=20)
    found = page.locator(".md-search-result__link", has_text="Extra page")
    expect(found.first).to_be_visible()
    found.first.click()
    page.wait_for_url("**/lab/extra-page/**")


def shown_claims(page):
    return page.locator(".guide-claim:visible")


def choose(page, name):
    """Choose the first word there is to choose; returns it."""
    choice = page.locator(f"select[name={name}]")
    word = choice.locator("option").nth(1).get_attribute("value")
    choice.select_option(word)
    return word


def test_claims_are_filtered_and_the_address_tells_it(open_page):
    page = open_page("claims/")
    total = page.locator(".guide-claim").count()
    status = page.locator(".guide-filter [role=status]")
    expect(status).to_have_text(f"{total} of {total} claims")
    expect(shown_claims(page)).to_have_count(total)
    verdict, source = choose(page, "verdict"), choose(page, "source")
    fitting = page.locator(
        f'.guide-claim[data-verdict="{verdict}"][data-source~="{source}"]'
    ).count()
    expect(status).to_have_text(
        f"{fitting} of {total} claims"
        if fitting
        else "No claim fits. Show all, or choose less."
    )
    expect(shown_claims(page)).to_have_count(fitting)
    page.wait_for_url(lambda url: f"source={source}" in url)
    # Whoever is sent the address sees the same.
    page.reload()
    expect(shown_claims(page)).to_have_count(fitting)
    expect(page.locator("select[name=verdict]")).to_have_value(verdict)


def test_claims_are_searched_with_the_keyboard(open_page):
    page = open_page("claims/")
    total = page.locator(".guide-claim").count()
    says = page.locator(".guide-says").last.inner_text()
    page.get_by_label("Words").focus()
    # Its number and its first words, in any case.
    page.keyboard.type(" ".join(says.split()[:8]).upper())
    expect(shown_claims(page)).to_have_count(1)
    expect(shown_claims(page).locator(".guide-says")).to_have_text(says)
    # A topic without a claim that fits is not there.
    expect(page.locator("article h2:visible")).to_have_count(1)
    page.keyboard.type(" nosuchword")
    status = page.locator(".guide-filter [role=status]")
    expect(status).to_have_text("No claim fits. Show all, or choose less.")
    show_all = page.get_by_role("button", name="Show all")
    for _ in range(6):
        page.keyboard.press("Tab")
        if show_all.evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(shown_claims(page)).to_have_count(total)
    expect(page.get_by_label("Words")).to_be_focused()
    assert page.url.endswith("/claims/")


def test_a_count_of_claims_leads_to_those_and_back(open_page):
    page = open_page("claims/")
    total = page.locator(".guide-claim").count()
    link = page.locator(".guide-counts a").first
    verdict = link.inner_text()
    link.click()
    fitting = page.locator(f'.guide-claim[data-verdict="{verdict}"]').count()
    expect(shown_claims(page)).to_have_count(fitting)
    page.go_back()
    expect(shown_claims(page)).to_have_count(total)


def test_a_link_to_a_claim_shows_it_whatever_is_chosen(open_page):
    page = open_page("claims/")
    last = page.locator(".guide-claim").last.get_attribute("id")
    page.goto(f"claims/?words=nosuchword#{last}")
    expect(page.locator(f"#{last}")).to_be_in_viewport()
    assert page.url.endswith(f"/claims/#{last}")


def test_claims_without_scripts_are_a_plain_list(open_page):
    page = open_page("claims/", java_script_enabled=False)
    total = page.locator(".guide-claim").count()
    assert total > 0
    expect(shown_claims(page)).to_have_count(total)
    expect(page.locator(".guide-filter")).to_be_hidden()


def test_the_page_of_claims_is_light(site):
    content = (site / "claims/index.html").read_bytes()
    assert len(gzip.compress(content)) < 100_000


def test_a_notebook_page_links_downloads_and_says_that_it_was_not_run(
    site, open_page
):
    for path in sorted((site / "notebooks").glob("*/index.html")):
        name = path.parent.name
        page = open_page(f"notebooks/{name}/")
        expect(page.get_by_text("not run in this build")).to_be_visible()
        for ending in ("py", "ipynb"):
            link = page.get_by_role("link", name=f"{name}.{ending}")
            assert page.request.get(link.evaluate("link => link.href")).ok
        # Styles are shared by all notebooks, not repeated in each.
        content = path.read_bytes()
        styles = re.findall(rb"<style.*?</style>", content, re.DOTALL)
        assert sum(map(len, styles)) < 5_000
        # A server sends it compressed.
        assert len(gzip.compress(content)) < 100_000
        expect(page.locator(".jupyter-wrapper pre .kn").first).to_be_visible()


def test_edit_and_report_links_lead_to_the_source(site, open_page):
    page = open_page(lab_pages(site)[0])
    topic = lab_pages(site)[0].split("/")[1]
    edit = page.locator("a[rel=edit]")
    assert edit.get_attribute("href") == (
        f"{REPO_URL}/edit/main/docs/lab/{topic}.md"
    )
    report = page.get_by_role("link", name="Report a mistake")
    assert report.get_attribute("href").startswith(
        f"{REPO_URL}/issues/new?template=mistake.yml&title="
    )
    program = programs(ROOT)[0]
    page.goto(f"notebooks/{program.name}/")
    assert edit.get_attribute("href") == (
        f"{REPO_URL}/edit/main/{program.where}"
    )
    page.goto("claims/")
    assert edit.get_attribute("href") == f"{REPO_URL}/tree/main/docs/claims"
    page.goto("evidence/")
    expect(edit).to_have_count(0)


class Links(HTMLParser):
    """The addresses that a page links to, and the names it has."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.names = set(), {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key in ("href", "src") and value:
                self.addresses.add(value)
            elif key in ("id", "name") and value:
                self.names.add(value)


def test_every_link_inside_the_site_leads_somewhere(site):
    # MkDocs knows nothing of links in notebooks and in generated HTML.
    base = "http://site/"
    read = {
        path.relative_to(site).as_posix(): Links(path.read_text("utf-8"))
        for path in site.rglob("*.html")
        if path.name != "404.html"
    }
    broken = []
    for name, links in read.items():
        for link in links.addresses:
            url = urlsplit(urljoin(base + name, link))
            if url.netloc != "site" or url.scheme != "http":
                continue
            target = unquote(url.path).lstrip("/")
            if not target or target.endswith("/"):
                target += "index.html"
            fragment = unquote(url.fragment)
            missing = target in read and (
                fragment not in read[target].names
                and not re.fullmatch(r"__\w+", fragment)
            )
            if missing or not (site / target).is_file():
                broken.append(f"{name}: {link}")
    assert broken == []
