"""How the page looks and what it tells a screen reader. Needs gradio; see ``offline``."""

import gradio as gr

# White on the default orange is too faint to read; and no font is fetched.
THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700")

CSS = """
.said p { margin: 0 0 .4em; overflow-wrap: anywhere; }
.said p:first-child { font-size: 1.2em; font-weight: 600; }
.listed li { overflow-wrap: anywhere; }
.model h1 { margin: 0 0 .2em; font-size: 1.5em; overflow-wrap: anywhere; }
.model p { margin: 0; overflow-wrap: anywhere; }
.scored table { border-collapse: collapse; border: none !important; width: 100%; }
.scored tr { border: none !important; }
.scored caption { text-align: left; font-weight: 600; padding: .8em 0 .3em; }
.scored th, .scored td { border: none; padding: .4em 1em .4em 0; text-align: left; overflow-wrap: anywhere; }
.scored .posts td { border-top: 1px solid var(--border-color-primary); }
.scored .posts th, .scored .answer { white-space: nowrap; }
.scored .text { width: 100%; }
.scored img { max-width: 4em; max-height: 4em; margin: 0; border-radius: 4px; }
.scored .chart { max-width: 44em; display: grid; grid-template-columns: fit-content(40%) 1fr max-content; }
.scored .chart tbody, .scored .chart tr { display: contents; }
.scored .chart caption { grid-column: 1 / -1; }
.scored .chart th { font-weight: 400; }
.scored .chart td:last-child { padding-right: 0; text-align: right; }
.scored .bar { height: 1em; margin-top: .25em; min-width: 1px; border-radius: 2px; background: var(--color-accent); }
"""

# Answers are read out when they come, and each button that takes a file says which. Tabs are drawn when first opened.
JS = """() => {
    const tell = () => {
        document.querySelectorAll(".said").forEach(place => place.setAttribute("aria-live", "polite"));
        document.querySelectorAll("button[aria-dropeffect]").forEach(button => {
            const label = button.closest(".block")?.querySelector("[data-testid=block-label]");
            if (label) button.setAttribute("aria-label", `${label.innerText.trim()}: choose a file`);
        });
    };
    new MutationObserver(tell).observe(document.body, {childList: true, subtree: true});
    tell();
}"""
