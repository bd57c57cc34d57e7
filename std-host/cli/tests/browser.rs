//! A real browser loads the demo's page and fills it, from `netloom serve` or from the server at the URL in
//! `NETLOOM_BROWSER_URL`, which may be a board.
//!
//! It is driven over a pipe by the Chrome DevTools Protocol: objects of JSON, each ended by a zero byte, that the
//! browser reads from its descriptor 3 and writes to 4. Without Chromium (Debian: `apt-get install chromium`, or a path
//! in `NETLOOM_BROWSER`) it is skipped, unless `NETLOOM_BROWSER` says which there should be.
#![cfg(unix)]

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use program::Serving;
use serde_json::{Value, json};

/// Without a picture, a profile of anybody's, or traffic of its own; a certificate made for the moment will do.
const FLAGS: &str = "--headless --ignore-certificate-errors --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
                     --disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe";

struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    profile: PathBuf,
    calls: u32,
}

impl Browser {
    /// `None` if there is none on this machine.
    fn start() -> Option<Self> {
        let asked = std::env::var("NETLOOM_BROWSER").ok();
        let candidates = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
        let mut candidates = asked.map_or(candidates.to_vec(), |asked| vec![asked]).into_iter();
        let is_there = |name: &String| Command::new(name).arg("--version").output().is_ok();
        let name = candidates.find(is_there).or_else(|| {
            assert!(std::env::var_os("NETLOOM_BROWSER").is_none(), "NETLOOM_BROWSER cannot be run");
            println!("skipped: there is no chromium; on Debian: apt-get install chromium");
            None
        })?;
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let nth = STARTED.fetch_add(1, Relaxed);
        let profile =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{}-{nth}", std::process::id()));
        let mut command = Command::new("sh");
        // Only a shell gives away its standard input and output under other numbers.
        command.args([
            "-c",
            &format!("exec \"$0\" {FLAGS} --user-data-dir=\"$1\" 3<&0 4>&1 0</dev/null 1>&2"),
            &name,
        ]);
        command.arg(&profile).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, input, output, profile, calls: 0 })
    }

    /// Calls a method of the protocol, in a session if there is one, and waits for its result.
    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        self.input.write_all(&[call.to_string().as_bytes(), b"\0"].concat()).unwrap();
        loop {
            let mut message = Vec::new();
            self.output.read_until(0, &mut message).unwrap();
            assert_eq!(message.pop(), Some(0), "the browser has ended during {method}");
            let message: Value = serde_json::from_slice(&message).unwrap();
            if message["id"] == self.calls {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].clone();
            }
        }
    }

    /// Opens a page: the session that controls it.
    fn open(&mut self, url: &str) -> String {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let params = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call(None, "Target.attachToTarget", params);
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        // Its result comes when the page has taken the blank one's place, and not before.
        let navigated = self.call(Some(&session), "Page.navigate", json!({ "url": url }));
        assert_eq!(navigated["errorText"], Value::Null, "{url}");
        session
    }

    /// What a promise of the page resolves to.
    fn evaluate(&mut self, session: &str, promise: &str) -> Value {
        let params = json!({ "expression": promise, "awaitPromise": true, "returnByValue": true });
        let result = self.call(Some(session), "Runtime.evaluate", params);
        assert_eq!(result["exceptionDetails"], Value::Null, "{promise}");
        result["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes its own children along when it is asked; killed it would leave them to notice.
        let _ = self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        while self.output.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            let n = self.output.buffer().len();
            self.output.consume(n);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// Waits, in the page, until it is loaded and all places are filled and then filled anew, as the page sees to; the texts
/// before and after. Gives up after a time that no working page needs.
const FILLED: &str = "new Promise(resolve => {
    const names = ['host', 'uptime', 'sessions', 'requests'];
    const texts = () => Object.fromEntries(
        names.map(name => [name, document.getElementById(name)?.textContent.trim() ?? '']));
    const begun = Date.now();
    let first;
    const look = () => {
        const now = texts();
        const filled = names.every(name => now[name] && now[name] != '\\u2026');
        if (filled && !first) first = now;
        if (first && now.uptime != first.uptime) return resolve({ title: document.title, first, now });
        if (Date.now() - begun > 30000) return resolve({ title: document.title, first, now, late: true });
        setTimeout(look, 50);
    };
    look();
})";

/// The page's URL, and the server if it is ours.
fn server() -> (String, Option<Serving>) {
    match std::env::var("NETLOOM_BROWSER_URL") {
        Ok(foreign) => (foreign, None),
        Err(_) => {
            let serving = Serving::start(&[]);
            (serving.http(""), Some(serving))
        }
    }
}

/// Says `TEXT` in the page's room, once it is open.
const SAY: &str = "new Promise(resolve => {
    const begun = Date.now();
    const say = () => {
        if (Date.now() - begun > 30000) return resolve(false);
        if (typeof room == 'undefined' || room.readyState != 1) return setTimeout(say, 50);
        document.getElementById('text').value = 'TEXT';
        document.getElementById('say').requestSubmit();
        resolve(true);
    };
    say();
})";

/// Waits until the last lines of the page's room are `LINES`; what they are.
const HEARD: &str = "new Promise(resolve => {
    const begun = Date.now();
    const lines = LINES;
    const look = () => {
        const all = [...document.querySelectorAll('#chat li')].map(line => line.textContent);
        const heard = all.slice(-lines.length);
        if (JSON.stringify(heard) == JSON.stringify(lines)) return resolve(heard);
        if (Date.now() - begun > 30000) return resolve(all);
        setTimeout(look, 50);
    };
    look();
})";

#[test]
fn two_pages_chat_with_each_other_and_a_late_one_hears_what_was_said() {
    let Some(mut browser) = Browser::start() else { return };
    let (url, _serving) = server();
    chat(&mut browser, &url);
}

#[test]
fn pages_that_came_by_https_chat_by_wss() {
    let Some(mut browser) = Browser::start() else { return };
    let serving = Serving::start(&[]);
    let url = serving.endpoint("https")["url"].as_str().unwrap();
    let page = chat(&mut browser, url);
    let protocols = browser.evaluate(&page, "Promise.resolve(location.protocol + room.url.split('/')[0])");
    assert_eq!(protocols, "https:wss:");
}

/// Two pages chat and a third one comes late; one of the two.
fn chat(browser: &mut Browser, url: &str) -> String {
    let pages = [browser.open(url), browser.open(url)];
    // Of this run alone: a board's room may remember another.
    let run = std::process::id();
    let lines = [format!("one says hello {run}"), format!("<b>two</b> says gr\u{fc}\u{df} dich {run}")];
    for (page, line) in pages.iter().zip(&lines) {
        assert_eq!(browser.evaluate(page, &SAY.replace("TEXT", line)), true);
        // The other one has heard it before it answers.
        let heard = format!("{:?}", &lines[..=lines.iter().position(|it| it == line).unwrap()]);
        for page in &pages {
            let wanted = HEARD.replace("LINES", &heard);
            assert_eq!(format!("{:?}", texts(&browser.evaluate(page, &wanted))), heard, "{url}");
        }
    }
    let late = browser.open(url);
    let heard = browser.evaluate(&late, &HEARD.replace("LINES", &format!("{lines:?}")));
    assert_eq!(texts(&heard), lines, "{url}");
    let [page, _] = pages;
    page
}

fn texts(lines: &Value) -> Vec<&str> {
    lines.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn a_browser_fills_the_page_and_keeps_it_filled() {
    let Some(mut browser) = Browser::start() else { return };
    let (url, serving) = server();
    let page = browser.open(&url);
    let seen = browser.evaluate(&page, FILLED);
    assert_eq!(seen["late"], Value::Null, "{url}: {seen}");
    assert_eq!(seen["title"], "netloom", "{seen}");
    let number = |at: &str, name: &str| {
        let text = seen[at][name].as_str().unwrap();
        text.parse::<u64>().unwrap_or_else(|error| panic!("{name}: {error}: {seen}"))
    };
    assert!(number("now", "uptime") > number("first", "uptime"), "{seen}");
    // The page and what fills it are requests, on one session or more.
    assert!(number("now", "sessions") >= 1 && number("now", "requests") >= 2, "{seen}");
    match serving {
        Some(_) => {
            let host = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
            assert_eq!(seen["now"]["host"], host);
        }
        None => assert_ne!(seen["now"]["host"], ""),
    }
}
