# Signs and verifies with dkimpy on command; see ../peer.go for the protocol.
# Usage: python3 dkimpy.py KEY-PEM RECORD-FILE DOMAIN SELECTOR
import sys
import time

import dkim


def slurp(path):
    with open(path, "rb") as f:
        return f.read()


key, record = slurp(sys.argv[1]), slurp(sys.argv[2])
domain, selector = sys.argv[3].encode(), sys.argv[4].encode()
names = [b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version", b"Content-Type"]

for line in iter(sys.stdin.readline, ""):
    what, path, count, out = line.split()
    message, made, bad = slurp(path), [], ""
    begin = time.process_time()
    for _ in range(int(count)):
        if what == "sign":
            made.append(dkim.sign(message, selector, domain, key, canonicalize=(b"relaxed", b"relaxed"), include_headers=names))
        elif not dkim.verify(message, dnsfunc=lambda name, timeout=5: record):
            bad = "dkimpy: the signature does not verify"
    used = time.process_time() - begin
    if what == "sign":
        with open(out, "wb") as f:
            for field in made:
                f.write(field.rstrip(b"\r\n") + b"\0")
    print("err " + bad if bad else "ok %.6f" % used, flush=True)
