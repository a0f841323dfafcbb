"""Writes what Python's Prophet makes of recorded loads, for ours to be compared with.

For each series: Prophet with the accuracy page's settings on the last fourteen days before the
test part; then its trend, daily and weekly components, its forecast and its 80 % interval, over
the days it was fitted on (every 24th step) and over the day after them (every 4th). One row a
time, in the unit of the load; classical/tests/prophet_matches_python.rs reads them.

    benches/peers/.venv/bin/python benches/peers/prophet_check.py ../shared/datasets/series
"""

import argparse
import logging
import pathlib

import numpy as np
import pandas as pd
from prophet import Prophet

SERIES = ["azure_vm_00", "web_nasa", "gc19_cell_b"]
DAY = 288
HORIZON = 12
TRAINING_DAYS = 14
FITTED_STRIDE, FUTURE_STRIDE = 24, 4
COLUMNS = ["trend", "daily", "weekly", "yhat", "yhat_lower", "yhat_upper"]


def test_start(points):
    """Where the test part begins: the last 30 %, at most five days, at a multiple of the horizon."""
    start = points - int(min(0.3 * points, 5 * DAY))
    return start - start % HORIZON


def fitted(training, algorithm):
    model = Prophet(growth="linear", seasonality_mode="additive", daily_seasonality=True,
                    weekly_seasonality=True, yearly_seasonality=False,
                    changepoint_prior_scale=0.05, interval_width=0.8, uncertainty_samples=1000)
    return model.fit(training, algorithm=algorithm)


def components(path, algorithm):
    data = pd.read_csv(path)
    start = test_start(len(data))
    frame = pd.DataFrame({"ds": pd.to_datetime(data["timestamp"], unit="s"), "y": data["value"]})
    training = frame[max(0, start - TRAINING_DAYS * DAY):start]
    step = training["ds"].iloc[1] - training["ds"].iloc[0]
    future = training["ds"].iloc[-1] + step * np.arange(1, DAY + 1)
    times = pd.concat([training["ds"][::FITTED_STRIDE], pd.Series(future[::FUTURE_STRIDE])])
    # Its intervals are drawn with numpy's global generator.
    np.random.seed(1)
    forecast = fitted(training, algorithm).predict(pd.DataFrame({"ds": times}))
    seconds = (forecast["ds"] - pd.Timestamp(0)) // pd.Timedelta(seconds=1)
    return pd.concat([seconds.rename("timestamp"), forecast[COLUMNS]], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", type=pathlib.Path, help="the folder of recorded series, as CSV")
    parser.add_argument("--output", type=pathlib.Path,
                        default=pathlib.Path(__file__).with_name("prophet-check.csv"),
                        help="the file to write (default: prophet-check.csv beside this script)")
    parser.add_argument("--algorithm", choices=["Newton", "LBFGS"], default="Newton",
                        help="Stan's optimizer: Newton finds the optimum; LBFGS, which Prophet "
                             "runs by default, may stop before it (default: Newton)")
    arguments = parser.parse_args()
    logging.getLogger("cmdstanpy").setLevel(logging.WARNING)
    tables = []
    for name in SERIES:
        table = components(arguments.series / f"{name}.csv", arguments.algorithm)
        table.insert(0, "series", name)
        tables.append(table)
    pd.concat(tables).to_csv(arguments.output, index=False, float_format="%.7g", lineterminator="\n")


if __name__ == "__main__":
    main()
