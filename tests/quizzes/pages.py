"""Questions of every kind for tests, as a file of questions has them."""

PAGE = r"""
page = "families/vae"
title = "A page & its <title>"

[[question]]
id = "one"
kind = "choice"
difficulty = 1
section = "loss"
text = "Is `a < b` *always* $x^2$?"
[[question.choice]]
text = "Yes <b>bold</b>"
correct = true
explanation = "Because of the first reason."
[[question.choice]]
text = "No"
correct = false
explanation = "This is the second mistake."
[[question.choice]]
text = "Perhaps"
correct = false
explanation = "This is the third mistake."

[[question]]
id = "two"
kind = "number"
difficulty = 2
section = "kl-divergence"
text = "How large is it?"
answer = 4.5
tolerance = 0.1
unit = "nats"
explanation = "Half of nine."
[[question.wrong]]
value = 9.0
explanation = "The factor is missing."

[[question]]
id = "three"
kind = "order"
difficulty = 3
section = "loss"
text = "Order the steps."
steps = ["Encode.", "Draw.", "Decode."]
explanation = "In this order."
"""
