"""Symbols of mathematics by their names in TeX, and small characters for scripts in Unicode text."""

# ruff: noqa: RUF001, RUF003 - mathematical characters are meant

SYMBOLS = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ", "eta": "η"},
    **{"theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ"},
    **{"sigma": "σ", "tau": "τ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ"},
    **{"Theta": "Θ", "Lambda": "Λ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "ell": "ℓ", "infty": "∞"},
    **{"partial": "∂", "nabla": "∇"},
}
OPERATORS = {
    **{"cdot": "·", "times": "×", "pm": "±", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈"},
    **{"sim": "∼", "propto": "∝", "in": "∈", "to": "→", "rightarrow": "→", "sum": "∑", "prod": "∏", "int": "∫", "ll": "≪"},
    **{"gg": "≫", "mid": "∣", "|": "‖", "lVert": "‖", "rVert": "‖", "{": "{", "}": "}", "%": "%", "dots": "…", "ldots": "…"},
    **{"cdots": "⋯", "langle": "⟨", "rangle": "⟩", "odot": "⊙", "mapsto": "↦", "equiv": "≡", "circ": "∘"},
}
FUNCTIONS = frozenset(
    ("log", "ln", "exp", "min", "max", "arg", "sin", "cos", "tanh", "argmin", "argmax", "det", "tr", "Pr", "dim")
)
SPACES = {",": " ", ";": " ", ":": " ", " ": " ", "quad": "  ", "!": ""}
IGNORED = frozenset(("left", "right", "bigl", "bigr", "Bigl", "Bigr", "big", "Big", "displaystyle"))
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "overline": "\u0305"}  # combining characters
SPACING_ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~", "overline": "¯"}
ALPHABETS = {
    "mathbb": {"E": "𝔼", "R": "ℝ", "N": "ℕ", "P": "ℙ", "1": "𝟙"},
    "mathcal": {"L": "ℒ", "N": "𝒩", "H": "ℋ", "U": "𝒰", "D": "𝒟", "J": "𝒥", "O": "𝒪"},
}
MINUS, PRIME, ASTERISK = "−", "′", "∗"
RAISED = dict(zip("0123456789+-−=()nixTkjtd", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱˣᵀᵏʲᵗᵈ", strict=True))
LOWERED = dict(zip("0123456789+-−=()aeijkmnoprstuxhlvβφρ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑᵢⱼₖₘₙₒₚᵣₛₜᵤₓₕₗᵥᵦᵩᵨ", strict=True))
RELATIONS = frozenset("=<>≤≥≠≈∼∝∈→≪≫×±≡↦+−∣‖")  # operators with spaces beside them in Unicode text
BREAKS = frozenset("=≤≥≈∝+−")  # operators before which a formula may be broken
BEFORE_SIGNS = frozenset("([{=,·×<>≤≥≈∼")  # characters after which + and − are signs rather than operators
