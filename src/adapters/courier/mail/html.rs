//! Blocks as HTML that a mail reader shows: no script, no picture, nothing that is fetched.
//!
//! **Invariant:** every text goes through [`escape`], and a link leads to http or https or is text.

use crate::ports::{Block, Inline};

const PAGE: &str = "font-family:system-ui,sans-serif;font-size:16px;line-height:1.5;\
                    max-width:40em;margin:0 auto;padding:16px";
const QUOTE: &str = "margin:0 0 1em;padding:0 0 0 12px;border-inline-start:3px solid #888";
const CODE: &str = "font-family:monospace;white-space:pre-wrap";
const CELL: &str = "text-align:start;vertical-align:top;padding:4px 12px 4px 0";

/// A whole page.
pub(super) fn page(title: &str, blocks: &[Block]) -> String {
    let title = escape(title);
    let body: String = blocks.iter().map(block).collect();
    format!(
        "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         </head>\n<body dir=\"auto\" style=\"{PAGE}\">\n{body}</body>\n</html>\n"
    )
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(line) => format!("<h2 dir=\"auto\">{}</h2>\n", inlines(line)),
        Block::Paragraph(line) => format!("<p dir=\"auto\">{}</p>\n", inlines(line)),
        Block::Quote(line) => {
            format!("<blockquote dir=\"auto\" style=\"{QUOTE}\">{}</blockquote>\n", inlines(line))
        }
        Block::Code(code) => format!("<pre style=\"{CODE}\">{}</pre>\n", escape(code)),
        Block::List(items) => {
            let item = |item: &Vec<Inline>| format!("<li dir=\"auto\">{}</li>\n", inlines(item));
            format!("<ul>\n{}</ul>\n", items.iter().map(item).collect::<String>())
        }
        Block::Table { head, rows } => {
            let rows: String = rows.iter().map(|cells| row("td", cells)).collect();
            format!("<table>\n{}{rows}</table>\n", row("th", head))
        }
    }
}

fn row(kind: &str, cells: &[Vec<Inline>]) -> String {
    let cell = |cell: &Vec<Inline>| {
        format!("<{kind} dir=\"auto\" style=\"{CELL}\">{}</{kind}>", inlines(cell))
    };
    format!("<tr>{}</tr>\n", cells.iter().map(cell).collect::<String>())
}

fn inlines(line: &[Inline]) -> String {
    line.iter().map(inline).collect()
}

fn inline(inline: &Inline) -> String {
    match inline {
        Inline::Text(text) | Inline::Time { text, .. } => escape(text),
        Inline::Strong(inside) => format!("<strong>{}</strong>", inlines(inside)),
        Inline::Emphasis(inside) => format!("<em>{}</em>", inlines(inside)),
        Inline::Code(code) => format!("<code>{}</code>", escape(code)),
        Inline::Break => "<br>\n".to_owned(),
        Inline::Link { url, text } if leads_to_the_web(url) => {
            format!("<a href=\"{}\" rel=\"noreferrer\">{}</a>", escape(url), escape(text))
        }
        Inline::Link { text, .. } => escape(text),
        Inline::Mention { name, .. } => escape(&format!("@{name}")),
        Inline::Channel { name, .. } => escape(&format!("#{name}")),
    }
}

fn leads_to_the_web(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Inline {
        Inline::Text(text.into())
    }

    fn link(url: &str) -> String {
        inline(&Inline::Link { url: url.into(), text: "<there>".into() })
    }

    #[test]
    fn whatever_people_wrote_is_text() {
        let sly = "<script>alert('\"&')</script>";
        let safe = "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;";
        let lines = [
            text(sly),
            Inline::Code(sly.into()),
            Inline::Strong(vec![text(sly)]),
            Inline::Emphasis(vec![text(sly)]),
            Inline::Time { at: 0, text: sly.into() },
            Inline::Mention { id: sly.into(), name: sly.into() },
            Inline::Channel { id: sly.into(), name: sly.into() },
            Inline::Link { url: sly.into(), text: sly.into() },
            Inline::Link { url: format!("https://{sly}"), text: sly.into() },
        ];
        let line = lines.to_vec();
        let blocks = [
            Block::Heading(line.clone()),
            Block::Paragraph(line.clone()),
            Block::Quote(line.clone()),
            Block::List(vec![line.clone()]),
            Block::Code(sly.into()),
            Block::Table { head: vec![line.clone()], rows: vec![vec![line]] },
        ];
        let page = page(sly, &blocks);
        assert!(!page.contains("<script") && !page.contains("'"), "{page}");
        // In each of the six lines ten times, since one link has it twice; in the code; the title.
        assert_eq!(page.matches(safe).count(), 6 * 10 + 1 + 1);
    }

    #[test]
    fn only_the_web_is_linked() {
        let there = "<a href=\"HTTPS://x.example/?a=1&amp;b=&quot;\" rel=\"noreferrer\">";
        assert_eq!(link("HTTPS://x.example/?a=1&b=\""), format!("{there}&lt;there&gt;</a>"));
        for url in ["javascript:alert(1)", "javascript://x", "data:text/html,x", "//x", "x", ""] {
            assert_eq!(link(url), "&lt;there&gt;", "{url}");
        }
    }

    #[test]
    fn blocks_keep_their_shape() {
        let table = Block::Table { head: vec![vec![text("h")]], rows: vec![vec![vec![text("c")]]] };
        let blocks = [
            Block::Heading(vec![text("Title")]),
            Block::Paragraph(vec![text("a"), Inline::Break, Inline::Strong(vec![text("b")])]),
            Block::List(vec![vec![text("one")], vec![text("two")]]),
            Block::Code("x  y".into()),
            table,
        ];
        let page = page("Subject", &blocks).replace(" dir=\"auto\"", "");
        for part in [
            "<title>Subject</title>",
            "<h2>Title</h2>",
            "<p>a<br>\n<strong>b</strong></p>",
            "<ul>\n<li>one</li>\n<li>two</li>\n</ul>",
            ">x  y</pre>",
            "\">h</th></tr>\n<tr><td",
            "\">c</td></tr>\n</table>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
