"""Runs notebooks in a real JupyterLab in Chromium and saves screenshots: `python -m tests.notebooks.jupyterlab vae`.

It is no test of `pytest`, because it takes minutes and its screenshots are for people. It fails on an output that is an error
or was written to standard error, and on a solution whose code is visible.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from notebooks.run import converted, find
from selenium import webdriver
from selenium.common.exceptions import WebDriverException

_WAIT = 300.0  # seconds for a notebook to run
_SIZE = (1280, 1500)  # of the window
_SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is part of the page, also where it is not visible
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

_RUN_ALL = "return jupyterapp.commands.execute('notebook:run-all-cells').then(() => true, () => false)"
_THEME = "return jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]})"
_READY = """
const panel = window.jupyterapp && jupyterapp.shell.currentWidget;
const kernel = panel && panel.context && panel.context.sessionContext.session && panel.context.sessionContext.session.kernel;
return Boolean(kernel) && kernel.status === 'idle' && panel.context.isReady;
"""
_CELLS = """
return jupyterapp.shell.currentWidget.content.widgets.map(cell => ({
  kind: cell.model.type,
  code: cell.model.sharedModel.getSource(),
  tags: cell.model.getMetadata('tags') || [],
  hidden: Boolean(cell.inputHidden),
  outputs: cell.model.outputs ? cell.model.outputs.toJSON().map(item => ({type: item.output_type, name: item.name || item.ename,
    text: String(item.text || item.evalue || '')})) : [],
}));
"""
_SCROLLER = (
    "const view = document.querySelector('.jp-Notebook .jp-WindowedPanel-outer') || document.querySelector('.jp-Notebook');"
)


def main() -> int:
    """Run the notebooks, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="notebooks, such as vae")
    parser.add_argument("--out", type=Path, default=Path("build/jupyterlab"), help="folder of the screenshots")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for path in find(chosen.names):
            nbformat.write(converted(path), Path(folder, f"{path.stem}.ipynb"))
        with _server(Path(folder)) as address, _browser() as browser:
            problems = [found for name in chosen.names for found in _run(browser, address, Path(name).stem, chosen.out)]
    print("\n".join(problems) or f"no problems; the screenshots are in {chosen.out}")
    return int(bool(problems))


def _run(browser: Any, address: Callable[[str], str], name: str, out: Path) -> list[str]:
    """Run one notebook and save screenshots of it while it trains, and at its end, light and dark; return the problems."""
    browser.get(address(name))
    _wait(lambda: browser.execute_script(_READY), "the kernel to start")
    browser.execute_script(
        "window.finished = null;" + _RUN_ALL.replace("return ", "", 1) + ".then(done => window.finished = done)"
    )
    _wait(lambda: browser.execute_script("return document.querySelector('.simulacra-plots') !== null"), "the first curve")
    browser.execute_script("document.querySelector('.simulacra-plots').scrollIntoView({block: 'center'})")
    browser.save_screenshot(str(out / f"{name}-training.png"))
    _wait(lambda: browser.execute_script("return window.finished !== null"), f"{name} to finish")
    for theme in ("Light", "Dark"):
        browser.execute_script(_THEME, f"JupyterLab {theme}")
        time.sleep(2)
        _save_pages(browser, out / f"{name}-{theme.lower()}")
    return [f"{name}: {problem}" for cell in browser.execute_script(_CELLS) for problem in _problems(cell)]


def _problems(cell: Any) -> list[str]:
    """Return the problems of a cell: errors, standard error, and a solution that is not collapsed."""
    first = cell["code"].split("\n")[0]
    bad = [item for item in cell["outputs"] if item["type"] == "error" or item["name"] == "stderr"]
    problems = [f"{first}: {item['name']}: {item['text'][:500]}" for item in bad]
    if "solution" in cell["tags"] and not cell["hidden"]:
        problems.append(f"{first}: the code of the solution is visible")
    return problems


def _save_pages(browser: Any, start: Path) -> None:
    """Save screenshots of the notebook from its top to its bottom."""
    height = browser.execute_script(_SCROLLER + "return view.scrollHeight")
    step = browser.execute_script(_SCROLLER + "return view.clientHeight") - 60
    for number, top in enumerate(range(0, height, step)):
        browser.execute_script(_SCROLLER + "view.scrollTop = arguments[0]", top)
        time.sleep(0.3)
        browser.save_screenshot(f"{start}-{number}.png")


@contextmanager
def _server(folder: Path) -> Iterator[Callable[[str], str]]:
    """Start JupyterLab on a free port; yield a function from the name of a notebook to its address."""
    own = folder / ".jupyter"
    for name, values in _SETTINGS.items():
        settings = own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(values))
    token, port = secrets.token_hex(16), _free_port()
    flags = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    flags += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    places = {"JUPYTER_CONFIG_DIR": own, "JUPYTER_DATA_DIR": own / "data", "JUPYTERLAB_SETTINGS_DIR": own / "settings"}
    places |= {"JUPYTER_RUNTIME_DIR": own / "runtime", "JUPYTERLAB_WORKSPACES_DIR": own / "workspaces"}
    environment = {**os.environ, **{name: str(path) for name, path in places.items()}, "OMP_NUM_THREADS": "1"}
    with (folder / "server.log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *flags]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(lambda: _listens(port), "JupyterLab to start")
            yield lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}.ipynb?token={token}&reset"
        finally:
            server.terminate()
            server.wait()


@contextmanager
def _browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={_SIZE[0]},{_SIZE[1]}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    browser.set_script_timeout(_WAIT)
    try:
        yield browser
    finally:
        browser.quit()


def _wait(is_true: Callable[[], bool], for_what: str) -> None:
    """Wait until a condition holds; raises TimeoutError."""
    deadline = time.monotonic() + _WAIT
    while time.monotonic() < deadline:
        try:
            if is_true():
                return
        except WebDriverException:  # the page is being loaded
            pass
        time.sleep(0.2)
    raise TimeoutError(f"waited {_WAIT:g} s for {for_what}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
