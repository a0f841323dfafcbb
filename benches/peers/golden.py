#!/usr/bin/env python3
"""Golden numbers of the reference network, from PyTorch in float64.

Weights, windows, targets and dropout masks come from an integer generator that the Rust tests
implement too, so that the file holds only what is to be compared. Run from anywhere:

    benches/peers/setup && benches/peers/.venv/bin/python benches/peers/golden.py
"""

import json
import pathlib

import numpy as np
import torch

LOOKBACK, HIDDEN, DENSE, BATCH, HORIZON = 24, 50, 25, 8, 12
DROPOUT, LEARNING_RATE, STEPS = 0.2, 1e-3, 3
# Of a large tensor every so many-th number is stored, and the sums over all.
STRIDE = 61
OUTPUT = pathlib.Path(__file__).parents[2] / "model/tests/golden/reference.json"


class Generator:
    """The linear congruential generator of Numerical Recipes; its upper 24 bits as a number."""

    def __init__(self, seed):
        self.state = seed

    def units(self, *shape):
        """Numbers in 0..1, exact in float32, row-major."""
        drawn = []
        for _ in range(int(np.prod(shape))):
            self.state = (1664525 * self.state + 1013904223) % 2**32
            drawn.append((self.state >> 8) / 2**24)
        return np.array(drawn).reshape(shape)

    def weights(self, *shape):
        """Numbers in ±0.5, rounded to float32."""
        return ((2 * self.units(*shape) - 1) * 0.5).astype(np.float32)

    def mask(self, *shape):
        """Inverted dropout."""
        return np.where(self.units(*shape) < DROPOUT, 0.0, np.float32(1 / (1 - DROPOUT)))


class Network(torch.nn.Module):
    def __init__(self, tensors):
        super().__init__()
        self.lstm_1 = self.lstm(1, tensors["lstm_1.weight"], tensors["lstm_1.bias"])
        self.lstm_2 = self.lstm(HIDDEN, tensors["lstm_2.weight"], tensors["lstm_2.bias"])
        self.dense = self.linear(tensors["dense.weight"], tensors["dense.bias"])
        self.output = self.linear(tensors["output.weight"], tensors["output.bias"])

    @staticmethod
    def lstm(inputs, weight, bias):
        layer = torch.nn.LSTM(inputs, HIDDEN, batch_first=True)
        with torch.no_grad():
            layer.weight_ih_l0.copy_(torch.tensor(weight[:inputs].T.copy()))
            layer.weight_hh_l0.copy_(torch.tensor(weight[inputs:].T.copy()))
            layer.bias_ih_l0.copy_(torch.tensor(bias))
            # PyTorch adds two biases; ours is one, so the second stays zero.
            layer.bias_hh_l0.zero_().requires_grad_(False)
        return layer

    @staticmethod
    def linear(weight, bias):
        layer = torch.nn.Linear(*weight.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weight.T.copy()))
            layer.bias.copy_(torch.tensor(bias))
        return layer

    def forward(self, windows, masks=None):
        """From [batch, lookback] to [batch]."""
        sequence, _ = self.lstm_1(windows.unsqueeze(2))
        if masks is not None:
            sequence = sequence * masks[0]
        sequence, _ = self.lstm_2(sequence)
        last = sequence[:, -1]
        if masks is not None:
            last = last * masks[1]
        return self.output(self.dense(last)).squeeze(1)

    def in_our_layout(self, of):
        """{name: array}, where `of` picks the value or the gradient of a parameter."""
        named = {}
        for name, layer in [("lstm_1", self.lstm_1), ("lstm_2", self.lstm_2)]:
            parts = [of(layer.weight_ih_l0).T, of(layer.weight_hh_l0).T]
            named[f"{name}.weight"] = torch.cat(parts).detach().numpy()
            named[f"{name}.bias"] = of(layer.bias_ih_l0).detach().numpy()
        for name, layer in [("dense", self.dense), ("output", self.output)]:
            named[f"{name}.weight"] = of(layer.weight).T.detach().numpy()
            named[f"{name}.bias"] = of(layer.bias).detach().numpy()
        return named


def numbers(array):
    return [float(f"{x:.9g}") for x in np.asarray(array).reshape(-1)]


def summary(named):
    """Biases whole; of the rest a sample, the sum and the sum of magnitudes."""
    stored = {}
    for name, array in named.items():
        flat = array.reshape(-1)
        stride = 1 if flat.size <= 4 * HIDDEN else STRIDE
        sums = numbers([flat.sum(), np.abs(flat).sum()])
        stored[name] = {"stride": stride, "values": numbers(flat[::stride]), "sums": sums}
    return stored


def main():
    generator = Generator(42)
    shapes = {
        "lstm_1.weight": (1 + HIDDEN, 4 * HIDDEN),
        "lstm_1.bias": (4 * HIDDEN,),
        "lstm_2.weight": (2 * HIDDEN, 4 * HIDDEN),
        "lstm_2.bias": (4 * HIDDEN,),
        "dense.weight": (HIDDEN, DENSE),
        "dense.bias": (DENSE,),
        "output.weight": (DENSE, 1),
        "output.bias": (1,),
    }
    tensors = {name: generator.weights(*shape) for name, shape in shapes.items()}
    windows = torch.tensor(generator.units(BATCH, LOOKBACK))
    targets = torch.tensor(generator.units(BATCH))
    network = Network(tensors).double()

    golden = {"torch": torch.__version__, "seed": 42, "batch": BATCH, "steps": []}
    with torch.no_grad():
        golden["forward"] = numbers(network(windows))
        known, predicted = windows, []
        for _ in range(HORIZON):
            following = network(known)
            predicted.append(following)
            known = torch.cat([known[:, 1:], following.unsqueeze(1)], dim=1)
        golden["autoregression"] = [numbers(step) for step in predicted]

    trained = [p for p in network.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    for _ in range(STEPS):
        # Drawn as [lookback, hidden, batch] and [hidden, batch].
        sequence = generator.mask(LOOKBACK, HIDDEN, BATCH).transpose(2, 0, 1).copy()
        last = generator.mask(HIDDEN, BATCH).T.copy()
        masks = (torch.tensor(sequence), torch.tensor(last))
        adam.zero_grad()
        loss = torch.nn.functional.mse_loss(network(windows, masks), targets)
        loss.backward()
        gradients = summary(network.in_our_layout(lambda parameter: parameter.grad))
        adam.step()
        parameters = summary(network.in_our_layout(lambda parameter: parameter))
        step = {"loss": numbers(loss.item())[0], "gradients": gradients, "parameters": parameters}
        golden["steps"].append(step)
    # The second step adds nothing to the first and the third.
    del golden["steps"][1]["gradients"], golden["steps"][1]["parameters"]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
