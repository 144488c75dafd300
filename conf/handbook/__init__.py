"""The machinery that keeps the handbook true.

Imports run one way, and the rooms above the line know nothing of Sphinx
(`tests/handbook/test_imports.py` holds both, and that no module is left out here).

What is there:
    problem: the form of every message: where, what, how to mend it
    needs: what a machine must have, and the command that brings it
    texts: files as text and as Python, or a Problem
    snippet: programs, and what they say of themselves
    pages: the chapters' Markdown, before Sphinx reads it
    claims: what the tests prove, and how they ended
    pytest_plugin: keeps how they ended
    pytest_limit: ends a run that hangs, and names its test
Running:
    record: runs a program under `traced/`, which notes its calls
    conduct: refuses what a run may not do, or leave behind
    assemble: makes a recording of what the run left
    recordings: keeps it in files, and reads it
    compare: says whether two mean the same
    errors: which errors the runs met
    offspring: what a process has started, to list and to end
    stress: tests on a machine that is made busy
Drawing:
    story: a recording as rows of words and numbers
    timeline, states: as a picture and in words
    charts: numbers
Checking:
    check: all checks; the modules check_… have them, by what they look at
    facts: what a page tells of itself
    proof, constants: whether a claim's test can fail; what its code is worth
    sources, links: the forms of a claim's source, and of links to other hosts
    printed: what no recorded output may hold
    chapter, scaffold: one chapter checked, or begun from `fresh/`
    changes: what a change does to the pages
The built site:
    search, archive: its index, and zips
    serving, chromium: it on loopback, and a browser
    weight, audit: the budgets
    columns: tables for the terminal
    colours, accessible: HTML and colours for every reader
    boxes: the frame around a program, its addresses
    port: whether make live may listen, asked before anything is set up
    cli: what the Makefile calls, by way of __main__

Line: these import Sphinx.

On pages:
    memory: what one build keeps for the next
    base: what all directives share
    directives: those of a chapter
    ledger, lookup, sheet, catalogue: those of the reference
Around pages:
    site: what each page is given
    sidebar, assets: its menu, its CSS and scripts
    source_pages: pages of tests and of long programs
    epub: the book
    hints: how to mend what Sphinx warns of
Measuring:
    bench: builds, growth and tests against their floors
"""
