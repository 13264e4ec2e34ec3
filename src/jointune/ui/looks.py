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
.bars * { font-family: var(--font); }
.card table { display: block; overflow-x: auto; border: none; }
.card th, .card td { word-break: normal; overflow-wrap: normal; }
.example { font-weight: 400; white-space: normal; text-align: left; justify-content: flex-start; }
.example img { width: 3em; height: 3em; }
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
