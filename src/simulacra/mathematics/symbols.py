"""Symbols of mathematics by their names in LaTeX, their kinds, and small characters for scripts in Unicode text."""

# ruff: noqa: RUF001 - mathematical characters are meant

from typing import Literal

Kind = Literal["ordinary", "function", "large", "relation", "open", "close", "punctuation", "word"]  # decides spaces in text

SYMBOLS = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ", "eta": "η"},
    **{"theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ"},
    **{"sigma": "σ", "tau": "τ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ"},
    **{"Theta": "Θ", "Lambda": "Λ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "ell": "ℓ", "infty": "∞"},
    **{"partial": "∂", "nabla": "∇", "top": "⊤", "exists": "∃"},
}
OPERATORS = {
    **{"cdot": "·", "times": "×", "pm": "±", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈"},
    **{"sim": "∼", "propto": "∝", "in": "∈", "to": "→", "rightarrow": "→", "leftarrow": "←", "Rightarrow": "⇒", "mapsto": "↦"},
    **{"sum": "∑", "prod": "∏", "int": "∫", "bigcup": "⋃", "ll": "≪", "gg": "≫", "equiv": "≡", "mid": "∣", "|": "‖", "Vert": "‖"},
    **{"{": "{", "}": "}", "%": "%", "#": "#", "dots": "…", "ldots": "…", "cdots": "⋯", "odot": "⊙", "circ": "∘"},
    **{"langle": "⟨", "rangle": "⟩", "lceil": "⌈", "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋"},
}
BARS: dict[str, tuple[str, Kind]] = {
    **{"lVert": ("‖", "open"), "rVert": ("‖", "close"), "lvert": ("|", "open"), "rvert": ("|", "close")},
}
FUNCTIONS = frozenset(
    ("log", "ln", "exp", "min", "max", "sup", "arg", "sin", "cos", "tanh", "argmin", "argmax", "det", "tr", "Pr", "dim")
)
KINDS: dict[str, Kind] = {
    **dict.fromkeys("=<>≤≥≠≈∼∝∈→←⇒≪≫×±≡↦+−·∣‖", "relation"),  # binary operators too
    **dict.fromkeys("∑∏∫⋃", "large"),
    **dict.fromkeys([*FUNCTIONS, "𝔼", "ℙ"], "function"),
    **dict.fromkeys("([{⟨⌈⌊", "open"),
    **dict.fromkeys(")]}⟩⌉⌋.", "close"),
    **dict.fromkeys(",:;", "punctuation"),
}
QUAD = "\u2003"  # the em space
SPACES = {",": " ", ";": " ", ":": " ", " ": " ", "quad": QUAD, "qquad": 2 * QUAD, "!": ""}
IGNORED = frozenset(
    ("left", "right", "bigl", "bigr", "Bigl", "Bigr", "big", "Big", "displaystyle", "textstyle", "limits")  # sizes
)
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307", "overline": "\u0305"}  # combining characters
SPACING_ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~", "dot": "˙", "overline": "¯"}
UPRIGHT = frozenset(("text", "mathrm", "operatorname", "mathbf", "mathsf", "textbf", "mathit"))  # commands with words as argument
ALPHABETS = {
    "mathbb": {"E": "𝔼", "R": "ℝ", "N": "ℕ", "P": "ℙ", "1": "𝟙"},
    "mathcal": {"L": "ℒ", "N": "𝒩", "H": "ℋ", "U": "𝒰", "D": "𝒟", "J": "𝒥", "O": "𝒪", "P": "𝒫"},
}
MINUS, PRIME, ASTERISK = "−", "′", "∗"
IN_TEXT = str.maketrans(
    {"ϕ": "φ", "ϵ": "ε", "∣": "|", "⊤": "T", "∗": "*"}
)  # simpler characters, which all fonts of terminals have
PARTS = {("1", "2"): "½", ("1", "3"): "⅓", ("1", "4"): "¼", ("3", "4"): "¾"}
RAISED = dict(
    zip(
        "0123456789+−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVW",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂ",
        strict=True,
    )
)
LOWERED = dict(zip("0123456789+−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
