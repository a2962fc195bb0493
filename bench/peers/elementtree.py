"""Reads DMARC reports with Python's xml.etree.ElementTree: a file, or all files of a folder. Prints how many rows and messages it found.

elementtree.py parse|iterparse PATH
"""
import gzip
import os
import sys
import xml.etree.ElementTree as ElementTree
import zipfile


def opened(path):
    """The document in a file, by its first octets."""
    f = open(path, "rb")
    head = f.read(2)
    f.seek(0)
    if head == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=f)
    if head == b"PK":
        archive = zipfile.ZipFile(f)
        return archive.open(archive.namelist()[0])
    return f


def facts(record):
    """What the other readers take from a record too."""
    row = record.find("row")
    evaluated = row.find("policy_evaluated")
    kept = [row.findtext("source_ip"), int(row.findtext("count") or 0)]
    kept += [evaluated.findtext(name) for name in ("disposition", "dkim", "spf")] if evaluated is not None else []
    kept.append(record.findtext("identifiers/header_from"))
    kept.append([(d.findtext("domain"), d.findtext("selector"), d.findtext("result")) for d in record.iterfind("auth_results/dkim")])
    kept.append([(s.findtext("domain"), s.findtext("result")) for s in record.iterfind("auth_results/spf")])
    return kept


def parse(document):
    root = ElementTree.parse(document).getroot()
    if root.tag != "feedback":
        raise ValueError("not feedback")
    rows = [facts(record) for record in root.iterfind("record")]
    return len(rows), sum(row[1] for row in rows)


def iterparse(document):
    rows, messages = 0, 0
    events = ElementTree.iterparse(document, events=("start", "end"))
    _, root = next(events)
    for event, element in events:
        if event == "end" and element.tag == "record":
            rows += 1
            messages += facts(element)[1]
            root.clear()
    return rows, messages


def main():
    read = {"parse": parse, "iterparse": iterparse}[sys.argv[1]]
    path = sys.argv[2]
    files = [os.path.join(path, name) for name in sorted(os.listdir(path))] if os.path.isdir(path) else [path]
    rows, messages = 0, 0
    for file in files:
        with opened(file) as document:
            r, m = read(document)
        rows, messages = rows + r, messages + m
    print(rows, messages)


main()
