//! A browser and the person before it: follows redirects, keeps cookies, fills in the forms that it meets.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread::JoinHandle;

use waxseal::keyservice::vault::auth::{Person, SourceError};
use waxseal::secret::SecretText;

use crate::openbao::{Response, send};

/// What somebody does who is shown a login.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    LogsIn,
    /// Goes back to where they came from without.
    Cancels,
}

/// More pages than any login has.
const MOST_PAGES: usize = 30;

pub(super) struct Someone {
    does: Does,
    told: Mutex<Vec<String>>,
    browsing: Mutex<Option<JoinHandle<(u16, String)>>>,
}

impl Someone {
    pub(super) fn who(does: Does) -> Self {
        Self { does, told: Mutex::default(), browsing: Mutex::default() }
    }

    /// What was told.
    pub(super) fn told(&self) -> Vec<String> {
        self.told.lock().expect("no panic").clone()
    }

    /// The status and text of the last page.
    pub(super) fn saw(&self) -> (u16, String) {
        let browsing = self.browsing.lock().expect("no panic").take();
        browsing.expect("a page was opened").join().expect("no panic")
    }
}

impl Person for Someone {
    fn secret(&self, _: &str) -> Result<SecretText, SourceError> {
        Err("nobody is asked".into())
    }

    fn tell(&self, line: &str) {
        self.told.lock().expect("no panic").push(line.to_owned());
    }

    fn browse(&self, url: &str) {
        let (url, does) = (url.to_owned(), self.does);
        let browsing = std::thread::spawn(move || walk(&url, does));
        *self.browsing.lock().expect("no panic") = Some(browsing);
    }
}

fn walk(url: &str, does: Does) -> (u16, String) {
    let mut jar = HashMap::new();
    let (mut method, mut url, mut body) = ("GET", url.to_owned(), String::new());
    for _ in 0..MOST_PAGES {
        let page = ask(&mut jar, method, &url, &body);
        let text = String::from_utf8_lossy(&page.body).into_owned();
        (method, body) = ("GET", String::new());
        if let Some(to) = header(&page, "location").next() {
            url = beside(&url, to);
        } else if does == Does::Cancels && text.contains("/abort\"") {
            let (before, _) = text.split_once("/abort\"").expect("as asked");
            let (_, path) = before.rsplit_once('"').expect("an attribute");
            url = beside(&url, &format!("{path}/abort"));
        } else if let Some((_, form)) = text.split_once("<form") {
            method = "POST";
            url = beside(&url, &attribute(form, "action").expect("a form goes somewhere"));
            body = filled(form);
        } else {
            return (page.status, text);
        }
    }
    panic!("the pages do not end at {url}");
}

/// A link of a page.
fn beside(page: &str, link: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let host = page.find("://").expect("a URL") + 3;
    let end = page[host..].find('/').map_or(page.len(), |at| host + at);
    format!("{}{link}", &page[..end])
}

fn ask(jar: &mut HashMap<String, String>, method: &str, url: &str, body: &str) -> Response {
    let host = url.find("://").expect("a URL") + 3;
    let (address, path) = url.split_at(url[host..].find('/').map_or(url.len(), |at| host + at));
    let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers = vec![("cookie".to_owned(), cookies.join("; "))];
    if method == "POST" {
        let form = "application/x-www-form-urlencoded".to_owned();
        headers.push(("content-type".to_owned(), form));
    }
    let page = send(address, method, path, &headers, body.as_bytes());
    let page = page.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    for cookie in header(&page, "set-cookie") {
        let pair = cookie.split(';').next().unwrap_or_default();
        let (name, value) = pair.split_once('=').expect("a cookie");
        if value.is_empty() {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
    page
}

fn header<'a>(page: &'a Response, name: &str) -> impl Iterator<Item = &'a str> {
    let found = page.headers.iter().filter(move |(it, _)| it.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// The fields of a form, those that are empty filled in.
fn filled(form: &str) -> String {
    let form = form.split("</form>").next().unwrap_or_default();
    let inputs = form.split("<input").skip(1);
    let fields = inputs.filter_map(|input| {
        let name = attribute(input, "name")?;
        let value = attribute(input, "value").unwrap_or_else(|| "ada".to_owned());
        Some(format!("{name}={}", escaped(&value)))
    });
    fields.collect::<Vec<_>>().join("&")
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
