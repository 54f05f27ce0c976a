"""What a consumer keeps, to know that no report is missing and to drop repeats: docs/messages.md has the rules."""
import collections, importlib, pathlib, subprocess, sys, tempfile

def messages():
    """The classes of proto/tailwater/v1/report.proto. Needs protoc and python3-protobuf."""
    proto, made = pathlib.Path(__file__).resolve().parents[2] / "proto", tempfile.TemporaryDirectory()
    subprocess.run(["protoc", f"--proto_path={proto}", f"--python_out={made.name}", "tailwater/v1/report.proto"], check=True)
    sys.path.insert(0, made.name)
    return importlib.import_module("tailwater.v1.report_pb2")

def place(at):
    return f"{at[0]} part {at[1]} of {at[2]}" if at[2] > 1 else str(at[0])

class Gapless:
    """Told each message, in the order of its partition, it says what is wrong. `sink` is the appliance's that they come by."""

    def __init__(self, pb, sink="kafka"):
        self.pb, self.sink, self.last, self.accounts, self.windows, self.count = pb, sink, {}, {}, {}, collections.Counter()

    def range(self, r):
        """A RangeReport's faults; None: it is a repeat, to be dropped."""
        scope = r.scope and self.pb.Scope.Name(r.scope)
        return self._next(r, (r.domain, r.prefix or r.customer, scope), (r.kind_sequence, r.part.number or 1, r.part.of or 1))[1]

    def account(self, r):
        """An ApplianceReport's faults; None: it is a repeat, to be dropped."""
        before, faults = self._next(r, ("(appliance)",), (r.kind_sequence, 1, 1))
        if faults is None:
            return None
        if not r.total:  # That of everything since the start has the reports of all windows.
            self._window(r)[0] = r.ranges_reported + r.rollups_reported
        self.count["lost"] += sum(losses.total for losses in r.journal_losses if losses.sink == self.sink)
        if (run := r.previous_run).boot_id:
            self.accounts[r.appliance, str(run.boot_id)] = run.sequence
            if not (before[0] or r.window_kind or run.ended):
                self.count["cut"] += 1
                to = r.window_end_ns if "partial_window" in r.incomplete.reasons else r.window_start_ns  # Within it, when is not told.
                faults.append(f"nobody counted: {r.appliance} from {run.long_end_ns} to {to}")
        return faults

    def end(self):
        """What is missing of all that came until now."""
        faults = [f"gap: {' '.join(filter(None, of))} sequence ends with {place(at)}" for of, at in self.last.items() if at[1] < at[2]]
        for run, all in self.accounts.items():  # The accounts of both kinds of windows are counted together.
            if (came := sum(self.last.get((*run, "(appliance)", kind), (0,))[0] for kind in (0, "fast"))) < all:
                faults.append(f"gap: {' '.join(run)} has {all} accounts, and {came} came")
        for (*run, kind, start, _), (all, came) in self.windows.items():
            if came < all:
                faults.append(f"gap: {' '.join(run)} {kind or 'long'} window from {start} has {all} reports of ranges, and {came} came")
        self.count["gaps"] += len(faults)
        return faults

    def _window(self, r):
        key = (r.appliance, str(r.boot_id), r.window_kind and "fast", r.window_start_ns, r.window_end_ns)
        return self.windows.setdefault(key, [0, 0])  # How many reports of ranges its account says it has, and how many came.

    def _next(self, r, of, at):
        source = (r.appliance, str(r.boot_id), *of, r.window_kind and "fast")  # Each is numbered on its own, from 1.
        before, name, faults = self.last.get(source, (0, 1, 1)), " ".join(filter(None, source)), []
        is_anew = at[0] == before[0] and at[2] != before[2]  # Another number of parts replaces what came of those before.
        if at <= before and not is_anew:
            self.count["repeats"] += 1
            print(f"repeat: {name} sequence {place(at)}")
            return before, None
        due = (at[0], 1) if is_anew else (before[0], before[1] + 1) if before[1] < before[2] else (before[0] + 1, 1)
        if at[:2] != due:
            self.count["gaps"] += 1
            faults.append(f"gap: {name} sequence {place(at)} comes after {place(before)}")
        self.last[source] = at
        self.count["reports"] += at[0] > before[0]
        if of != ("(appliance)",):
            self._window(r)[1] += at[0] > before[0]
        return before, faults
