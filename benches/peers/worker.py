#!/usr/bin/env python3
"""One peer, measured one task at a time: `worker.py PEER TASK THREADS`.

Says `ready` when everything is built and warm, and then for each line on standard input does the
task once and prints seconds: {"wall": ..., "cpu": ...}. The tasks are those of `measure.rs`:

    epoch       one pass over 4008 windows of 24, batches of 32, Adam, with dropout
    forecast    12 steps ahead for one series, over the network's own predictions
    forecasts   the same for 1000 series at once

Weights are random and windows made up: speed does not depend on them.
"""

import json
import os
import sys
import time

PEER, TASK, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])
for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]:
    os.environ[name] = str(THREADS)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(THREADS)
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["JAX_PLATFORMS"] = "cpu"
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import numpy as np  # noqa: E402  (the threads are set before any library starts its own)

LOOKBACK, HIDDEN, DENSE, HORIZON, BATCH, WINDOWS, SERIES = 24, 50, 25, 12, 32, 4008, 1000
DROPOUT, RATE = 0.2, 1e-3
RANDOM = np.random.default_rng(42)


def windows(count):
    return RANDOM.random((count, LOOKBACK, 1), dtype=np.float32)


def keras_task():
    """The tutorial's network and calls."""
    import keras
    from keras import layers

    model = keras.Sequential([
        layers.Input((LOOKBACK, 1)),
        layers.LSTM(HIDDEN, return_sequences=True),
        layers.Dropout(DROPOUT),
        layers.LSTM(HIDDEN),
        layers.Dropout(DROPOUT),
        layers.Dense(DENSE),
        layers.Dense(1),
    ])
    model.compile(optimizer="adam", loss="mean_squared_error")
    if TASK == "epoch":
        x, y = windows(WINDOWS), RANDOM.random((WINDOWS, 1), dtype=np.float32)
        return lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)

    def forecast():
        known = start.copy()
        for _ in range(HORIZON):
            following = model.predict(known, verbose=0)
            known = np.concatenate([known[:, 1:], following[:, None]], axis=1)

    start = windows(1 if TASK == "forecast" else SERIES)
    return forecast


def torch_network():
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm_1 = torch.nn.LSTM(1, HIDDEN, batch_first=True)
            self.lstm_2 = torch.nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
            self.dropout = torch.nn.Dropout(DROPOUT)
            self.dense = torch.nn.Linear(HIDDEN, DENSE)
            self.output = torch.nn.Linear(DENSE, 1)

        def forward(self, x):
            x = self.dropout(self.lstm_1(x)[0])
            x = self.dropout(self.lstm_2(x)[0][:, -1])
            return self.output(self.dense(x))

    torch.set_num_threads(THREADS)
    torch.manual_seed(42)
    return torch, Network()


def torch_task():
    torch, network = torch_network()
    if TASK == "epoch":
        x = torch.tensor(windows(WINDOWS))
        y = torch.rand(WINDOWS, 1)
        adam = torch.optim.Adam(network.parameters(), lr=RATE)
        loss = torch.nn.MSELoss()

        def epoch():
            for indices in torch.randperm(WINDOWS).split(BATCH):
                adam.zero_grad()
                loss(network(x[indices]), y[indices]).backward()
                adam.step()

        return epoch
    network.eval()
    start = torch.tensor(windows(1 if TASK == "forecast" else SERIES))
    if PEER == "torchscript":
        network = torch.jit.optimize_for_inference(torch.jit.script(network))

    def forecast():
        with torch.inference_mode():
            known = start
            for _ in range(HORIZON):
                known = torch.cat([known[:, 1:], network(known).unsqueeze(1)], dim=1)

    return forecast


def jax_parameters():
    import jax.numpy as jnp

    def uniform(*shape):
        return jnp.asarray(RANDOM.uniform(-0.2, 0.2, shape).astype(np.float32))

    return {
        "lstm_1": (uniform(1, 4 * HIDDEN), uniform(HIDDEN, 4 * HIDDEN), uniform(4 * HIDDEN)),
        "lstm_2": (uniform(HIDDEN, 4 * HIDDEN), uniform(HIDDEN, 4 * HIDDEN), uniform(4 * HIDDEN)),
        "dense": (uniform(HIDDEN, DENSE), uniform(DENSE)),
        "output": (uniform(DENSE, 1), uniform(1)),
    }


def jax_network(parameters, x, key=None):
    """From [steps, batch, 1] to [batch, 1]; with a key, with dropout."""
    import jax
    import jax.numpy as jnp

    def lstm(parameters, sequence):
        """The input products of all steps at once, then a scan over the recurrence."""
        inputs, recurrent, bias = parameters

        def step(carry, sums):
            state, cell = carry
            i, f, g, o = jnp.split(sums + state @ recurrent, 4, axis=-1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            state = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return (state, cell), state

        zero = jnp.zeros((sequence.shape[1], HIDDEN))
        return jax.lax.scan(step, (zero, zero), sequence @ inputs + bias)[1]

    def drop(x, key):
        kept = jax.random.bernoulli(key, 1 - DROPOUT, x.shape)
        return jnp.where(kept, x / (1 - DROPOUT), 0)

    keys = (None, None) if key is None else jax.random.split(key)
    x = lstm(parameters["lstm_1"], x)
    x = x if key is None else drop(x, keys[0])
    x = lstm(parameters["lstm_2"], x)[-1]
    x = x if key is None else drop(x, keys[1])
    for layer in ("dense", "output"):
        x = x @ parameters[layer][0] + parameters[layer][1]
    return x


def jax_epoch():
    import jax
    import jax.numpy as jnp

    x = jnp.asarray(windows(WINDOWS).transpose(1, 0, 2))
    y = jnp.asarray(RANDOM.random((WINDOWS, 1), dtype=np.float32))

    def loss(parameters, x, y, key):
        return jnp.mean((jax_network(parameters, x, key) - y) ** 2)

    def adam(state, indices):
        parameters, means, squares, count, key = state
        key, dropout = jax.random.split(key)
        gradients = jax.grad(loss)(parameters, x[:, indices], y[indices], dropout)
        count = count + 1
        tree = jax.tree.map
        means = tree(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = tree(lambda s, g: 0.999 * s + 0.001 * g * g, squares, gradients)

        def update(p, m, s):
            m, s = m / (1 - 0.9**count), s / (1 - 0.999**count)
            return p - RATE * m / (jnp.sqrt(s) + 1e-8)

        return (tree(update, parameters, means, squares), means, squares, count, key), None

    step = jax.jit(lambda state, indices: adam(state, indices)[0])

    def by_steps(state):
        order = RANDOM.permutation(WINDOWS)
        for first in range(0, WINDOWS, BATCH):
            state = step(state, order[first:first + BATCH])
        return state

    @jax.jit
    def whole(state):
        key, shuffling = jax.random.split(state[4])
        order, full = jax.random.permutation(shuffling, WINDOWS), WINDOWS // BATCH * BATCH
        state, _ = jax.lax.scan(adam, state[:4] + (key,), order[:full].reshape(-1, BATCH))
        return adam(state, order[full:])[0]

    parameters = jax_parameters()
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    states = [(parameters, zeros, zeros, jnp.float32(0), jax.random.key(42))]
    epoch = by_steps if PEER == "jax-steps" else whole

    def run():
        states[0] = jax.block_until_ready(epoch(states[0]))

    return run


def jax_task():
    """A whole epoch compiled, or, as `jax-steps`, each step; all steps of a forecast compiled."""
    import jax
    import jax.numpy as jnp

    if TASK == "epoch":
        return jax_epoch()

    @jax.jit
    def forecast(parameters, known):
        def step(known, _):
            following = jax_network(parameters, known)
            return jnp.concatenate([known[1:], following[None]]), following

        return jax.lax.scan(step, known, length=HORIZON)[1]

    parameters = jax_parameters()
    start = jnp.asarray(windows(1 if TASK == "forecast" else SERIES).transpose(1, 0, 2))
    return lambda: jax.block_until_ready(forecast(parameters, start))


def onnxruntime_task():
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def constant(name, *shape):
        values = RANDOM.uniform(-0.2, 0.2, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    gates = 4 * HIDDEN
    axis = numpy_helper.from_array(np.array([1], dtype=np.int64), "axis")
    zero = numpy_helper.from_array(np.array([0], dtype=np.int64), "zero")
    nodes = [
        helper.make_node("LSTM", ["x", "w1", "r1", "b1"], ["s1"], hidden_size=HIDDEN),
        helper.make_node("Squeeze", ["s1", "axis"], ["s1_flat"]),
        helper.make_node("LSTM", ["s1_flat", "w2", "r2", "b2"], ["", "s2"], hidden_size=HIDDEN),
        helper.make_node("Squeeze", ["s2", "zero"], ["s2_flat"]),
        helper.make_node("Gemm", ["s2_flat", "dw", "db"], ["dense"]),
        helper.make_node("Gemm", ["dense", "ow", "ob"], ["y"]),
    ]
    constants = [
        constant("w1", 1, gates, 1), constant("r1", 1, gates, HIDDEN), constant("b1", 1, 2 * gates),
        constant("w2", 1, gates, HIDDEN), constant("r2", 1, gates, HIDDEN),
        constant("b2", 1, 2 * gates), constant("dw", HIDDEN, DENSE), constant("db", DENSE),
        constant("ow", DENSE, 1), constant("ob", 1), axis, zero,
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [LOOKBACK, "batch", 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(nodes, "reference", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    start = np.ascontiguousarray(windows(1 if TASK == "forecast" else SERIES).transpose(1, 0, 2))

    def forecast():
        known = start
        for _ in range(HORIZON):
            following = session.run(None, {"x": known})[0]
            known = np.concatenate([known[1:], following[None]])

    return forecast


def prophet_task():
    """The tutorial's settings on two weeks: fit, and 12 steps with their interval."""
    import logging

    import pandas as pd
    from prophet import Prophet

    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    times = pd.date_range("2026-01-05", periods=4032, freq="5min")
    phase = np.arange(4032) * 2 * np.pi / 288
    y = 5 + 3 * np.sin(phase) + RANDOM.normal(0, 0.3, 4032)
    history = pd.DataFrame({"ds": times, "y": y})

    def forecast():
        model = Prophet(daily_seasonality=True, weekly_seasonality=True, yearly_seasonality=False,
                        changepoint_prior_scale=0.05)
        model.fit(history)
        model.predict(model.make_future_dataframe(HORIZON, freq="5min", include_history=False))

    return forecast


TASKS = {
    "keras": keras_task,
    "torch": torch_task,
    "torchscript": torch_task,
    "jax": jax_task,
    "jax-steps": jax_task,
    "onnxruntime": onnxruntime_task,
    "prophet": prophet_task,
}
# Forecasts of a measurement, so that it is longer than the clock is coarse.
REPEATED = {"keras": 2, "prophet": 1}.get(PEER, 50) if TASK == "forecast" else 1


def main():
    task = TASKS[PEER]()
    for _ in range(min(REPEATED, 3) + 1):
        task()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(REPEATED):
            task()
        seconds = {
            "wall": (time.perf_counter() - wall) / REPEATED,
            "cpu": (time.process_time() - cpu) / REPEATED,
        }
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
