"""The rules of the tree that a compiler does not know. Prints one line a fault; exit status 1 if any.

    lint.py [--root FOLDER] [--build FOLDER] [--rule NAME]... [--suggest]

rule        what has to hold
layers      tests/lint/layers.txt can be read, names only what exists, and has no cycle
include     a file includes only folders granted to its folder, and outside headers granted to it
listed      every source file has its line in layers.txt
symbols     objects of pure folders call nothing but what pure code may (needs --build)
length      no function over 70 lines, no file over 700
banned      no call that has a safe replacement, or that belongs to one folder, without a grant
cleanup     what PEN_CLEANUP releases has a value from its first line on: any return may release it
words       no note that work is left to do

--suggest prints the lines that layers.txt lacks, with each role guessed from the file's first line.
"""
import argparse
import ast
import pathlib
import re
import subprocess
import sys

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700
SOURCE_FOLDERS = ("common", "controller", "agent", "cli")
CODE_FOLDERS = SOURCE_FOLDERS + ("tests", "examples", "docker")
SAMPLES = "tests/lint/samples"
LAYERS = "tests/lint/layers.txt"

# The C library and the kernel. Anything else between <> has to be granted to the file.
SYSTEM_FOLDERS = ("sys/", "linux/", "netinet/", "arpa/", "net/", "asm/")
SYSTEM_HEADERS = set("""
    assert ctype dirent errno fcntl float fnmatch getopt glob grp inttypes libgen limits locale math
    netdb poll pthread pwd sched semaphore setjmp signal spawn stdalign stdarg stdatomic stdbool
    stddef stdint stdio stdlib stdnoreturn string strings syslog termios time unistd wchar ucontext
    stdio_ext utime mntent ftw
    """.split())
PURE_HEADERS = set("""
    ctype errno inttypes limits math stdalign stdarg stdbool stddef stdint stdio stdlib string
    """.split())
PURE_SYMBOLS = set("""
    abort bsearch calloc free malloc qsort realloc
    memchr memcmp memcpy memmove memrchr memset snprintf vsnprintf
    strchr strchrnul strcmp strcspn strdup strlen strncasecmp strcasecmp strncmp strndup strnlen
    strpbrk strrchr strspn strstr strtol strtoll strtoul strtoull strtod
    tolower toupper isalnum isdigit isspace isxdigit isalpha isprint
    __isoc99_sscanf __errno_location __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc
    __stack_chk_fail __memcpy_chk __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk
    _GLOBAL_OFFSET_TABLE_ floor ceil llround
    """.split())
PURE_PREFIXES = ("protobuf_c_", "__asan_", "__ubsan_", "__tsan_", "__lsan_", "__sanitizer_")

# Call: what to use instead. `home` is the only folder that may, besides files with a {grant}.
BANNED = {
    "strcpy": "pen_buf or memcpy with a known size", "strcat": "pen_buf",
    "stpcpy": "pen_buf", "strncpy": "memcpy with a known size", "strncat": "pen_buf",
    "sprintf": "snprintf or pen_buf_printf", "vsprintf": "vsnprintf",
    "gets": "pen_file_read", "strtok": "strcspn and strspn", "strtok_r": "strcspn and strspn",
    "system": "pen_proc_run", "popen": "pen_proc_run", "alloca": "pen_buf",
    "atoi": "a parser that reports errors", "atol": "a parser that reports errors",
    "atoll": "a parser that reports errors", "atof": "a parser that reports errors",
    "rand": "pen_random_bytes", "srand": "pen_random_bytes", "random": "pen_random_bytes",
    "mktemp": "mkstemp or mkdtemp", "tmpnam": "mkstemp", "tempnam": "mkstemp",
    "signal": "sigaction or a signalfd", "gmtime": "gmtime_r", "localtime": "localtime_r",
    "asctime": "strftime", "ctime": "strftime",
    "usleep": "a wait on an event", "sleep": "a wait on an event",
}
IN_TESTS = {"system", "signal", "strncpy"}  # fixed arguments, one thread
HOMED = {
    "common/io": {
        "open": "pen_file_open", "creat": "pen_file_open",
        "fopen": "pen_file_open or pen_file_read", "fdopen": "pen_file_open",
        "socket": "a function of common/io", "accept": "a function of common/io",
        "pipe": "a function of common/io", "pipe2": "a function of common/io",
        "fork": "pen_proc_spawn", "vfork": "pen_proc_spawn", "posix_spawn": "pen_proc_spawn",
        "posix_spawnp": "pen_proc_spawn", "execve": "pen_proc_spawn", "execvp": "pen_proc_spawn",
        "dup": "fcntl with F_DUPFD_CLOEXEC", "dup2": "pen_proc_spawn",
        "fsync": "pen_file_replace",
        "clock_gettime": "common/io/clock.h", "time": "common/io/clock.h",
        "gettimeofday": "common/io/clock.h", "getrandom": "common/io/random.h",
        "pthread_mutex_lock": "pen_inbox_post",
    },
}
NOTHING_TO_RELEASE = re.compile(r"\bPEN_CLEANUP\(\w+\)[^;={]*;")
SECRET_COMPARE = re.compile(
    r"\b(?:memcmp|strcmp|strncmp)\s*\([^;]*\b\w*(?:secret|signature|hmac|password)\w*", re.I)
LEFT_WORDS = re.compile(r"\b(?:%s)\b" % "|".join(("TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK")))
INCLUDE = re.compile(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


class Faults:
    def __init__(self):
        self.lines = []

    def add(self, rule, path, line, sentence):
        self.lines.append(f"{path}:{line}: [{rule}] {sentence}")


# ---- layers.txt

class Folder:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.grants, self.pure = set(), False
        self.files = {}  # name -> File


class File:
    def __init__(self, line, role, headers, calls):
        self.line, self.role, self.headers, self.calls = line, role, headers, calls


def parse_file_line(text, number):
    """`name.[ch] other.c: role <header.h> {call}` -> (names, File)."""
    names, _, rest = text.partition(":")
    headers = set(re.findall(r"<([^>]+)>", rest))
    calls = set(" ".join(re.findall(r"\{([^}]*)\}", rest)).split())
    role = re.sub(r"<[^>]+>|\{[^}]*\}", "", rest).strip()
    listed = []
    for name in names.split():
        stem, both, _ = name.partition(".[ch]")
        listed += [stem + ".c", stem + ".h"] if both else [name]
    return listed, File(number, role, headers, calls)


def read_layers(root, faults):
    folders, folder = {}, None
    for number, raw in enumerate((root / LAYERS).read_text().splitlines(), 1):
        line = raw.split("#")[0].rstrip()
        if not line:
            continue
        if not line[0].isspace():
            name, colon, rest = line.partition(":")
            folder = folders[name] = Folder(name, number)
            words = set(rest.split())
            folder.pure = "pure" in words
            folder.grants = words - {"pure"}
            if not colon:
                faults.add("layers", LAYERS, number, f"no colon after '{name}'")
            continue
        names, entry = parse_file_line(line.strip(), number)
        if folder is None or not entry.role:
            faults.add("layers", LAYERS, number, "a file line needs a folder above it and a role")
            continue
        for name in names:
            folder.files[name] = entry
    return folders


def check_layers(root, folders, faults):
    for folder in folders.values():
        for grant in sorted(folder.grants - set(folders)):
            faults.add("layers", LAYERS, folder.line, f"{folder.name} grants '{grant}', which is no folder here")
        for name, entry in folder.files.items():
            if not (root / folder.name / name).exists():
                faults.add("layers", LAYERS, entry.line, f"no file {folder.name}/{name}")
    check_cycles(folders, faults)


def check_cycles(folders, faults):
    """Take away folders that grant nothing that is left; what cannot be taken is a cycle."""
    left = {name: folder.grants & set(folders) for name, folder in folders.items()}
    while True:
        free = [name for name, grants in left.items() if not grants & set(left)]
        if not free:
            break
        for name in free:
            del left[name]
    if left:
        first = min(folders[name].line for name in left)
        faults.add("layers", LAYERS, first, "cycle among " + ", ".join(sorted(left)))


def folder_of(path, folders):
    """The nearest listed folder above the file, and the file's name within it."""
    parts = path.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:depth])
        if name in folders:
            return folders[name], "/".join(parts[depth:])
    return None, path


# ---- reading C

def strip_c(text):
    """The text with comments, strings and character constants blanked, lines kept."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def c_functions(lines):
    """(line, length) of each function body: from `{` to `}` in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start:
            yield start, number - start + 1
            start = None


# ---- rules on files

def check_includes(path, text, folder, name, faults):
    entry = folder.files.get(name)
    granted = (entry.headers if entry else set())
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        ours, outside = match.groups()
        if ours:
            check_our_include(path, number, ours, folder, faults)
        else:
            check_outside_include(path, number, outside, folder, granted, faults)


def check_our_include(path, number, header, folder, faults):
    target = "proto" if header.endswith(".pb-c.h") else None
    if target is None:
        if "/" not in header:
            faults.add("include", path, number, f'"{header}": include from the root of the tree')
            return
        target = header
    allowed = folder.grants | {folder.name}
    if not any(target == name or target.startswith(name + "/") for name in allowed):
        faults.add("include", path, number,
                   f'"{header}" is not granted to {folder.name}; see {LAYERS}')


def check_outside_include(path, number, header, folder, granted, faults):
    stem = header[:-2] if header.endswith(".h") else header
    if folder.pure:
        if stem not in PURE_HEADERS and not header.startswith("protobuf-c/") \
                and header not in granted:
            faults.add("include", path, number, f"<{header}> has no place in a pure folder")
        return
    if stem in SYSTEM_HEADERS or header.startswith(SYSTEM_FOLDERS):
        return
    if header not in granted and not header.startswith("protobuf-c/"):
        faults.add("include", path, number, f"<{header}> is not granted to this file; see {LAYERS}")


def check_banned(path, code, folder, name, faults):
    entry = folder.files.get(name) if folder else None
    granted = entry.calls if entry else set()
    advice = {call: instead for call, instead in BANNED.items()
              if path.startswith(SOURCE_FOLDERS) or call not in IN_TESTS}
    for home, calls in HOMED.items():
        if folder and folder.name != home and not folder.pure:  # symbols looks at pure folders
            advice.update(calls)
    pattern = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(advice))
    for number, line in enumerate(code.splitlines(), 1):
        for call in pattern.findall(line):
            if call not in granted:
                faults.add("banned", path, number, f"{call}(): use {advice[call]}")
        if SECRET_COMPARE.search(line) and "memcmp" not in granted:
            faults.add("banned", path, number, "a secret is compared in constant time")


def check_cleanup(path, code, faults):
    for match in NOTHING_TO_RELEASE.finditer(code):
        faults.add("cleanup", path, code.count("\n", 0, match.start()) + 1,
                   "no value yet, and released on every return: begin with one")


def check_length(path, lines, faults):
    if len(lines) > FILE_LINES_MAX:
        faults.add("length", path, len(lines), f"{len(lines)} lines; the limit is {FILE_LINES_MAX}")
    if path.endswith((".c", ".h")):
        found = c_functions(lines)
    elif path.endswith(".py"):
        found = [(node.lineno, node.end_lineno - node.lineno + 1)
                 for node in ast.walk(ast.parse("\n".join(lines)))
                 if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    else:
        return
    for line, length in found:
        if length > FUNCTION_LINES_MAX:
            faults.add("length", path, line,
                       f"a function of {length} lines; the limit is {FUNCTION_LINES_MAX}")


def check_words(path, lines, faults):
    for number, line in enumerate(lines, 1):
        match = LEFT_WORDS.search(line)
        if match:
            faults.add("words", path, number, f"{match.group(0)}: do it, or open an issue")


def check_file(root, path, folders, faults):
    text = (root / path).read_text()
    lines = text.splitlines()
    check_length(path, lines, faults)
    check_words(path, lines, faults)
    if not path.endswith((".c", ".h")):
        return
    folder, name = folder_of(path, folders)
    code = strip_c(text)
    check_banned(path, code, folder, name, faults)
    check_cleanup(path, code, faults)
    if not path.startswith(SOURCE_FOLDERS):
        return
    if folder is None:
        faults.add("listed", path, 1, f"its folder has no line in {LAYERS}")
        return
    if name not in folder.files:
        faults.add("listed", path, 1, f"no line under {folder.name} in {LAYERS}; see lint.py --suggest")
    check_includes(path, text, folder, name, faults)


# ---- symbols of pure folders

def run_nm(archive, option):
    """(member, symbol) of an archive."""
    done = subprocess.run(["nm", option, "--format=posix", str(archive)], text=True,
                          capture_output=True, check=True)
    member = ""
    for line in done.stdout.splitlines():
        if line.endswith("]:"):
            member = line.rpartition("[")[2][:-2]
        elif line:
            yield member, line.split()[0]


def archive_of(build, folder):
    return build / f"libpen_{folder.replace('/', '_')}.a"


def check_symbols(build, folders, faults):
    for folder in folders.values():
        archive = archive_of(build, folder.name)
        if not folder.pure or not archive.exists():
            continue
        known = set()
        for name in folder.grants | {folder.name}:
            if archive_of(build, name).exists():
                known |= {symbol for _, symbol in run_nm(archive_of(build, name), "--defined-only")}
        for member, symbol in run_nm(archive, "--undefined-only"):
            source = member[:-2] if member.endswith(".o") else member
            calls = set()
            for name, entry in folder.files.items():
                if name.rpartition("/")[2] == source:
                    calls |= entry.calls
            if symbol in known | PURE_SYMBOLS | calls or symbol.startswith(PURE_PREFIXES):
                continue
            faults.add("symbols", f"{folder.name}/{source}", 1,
                       f"{symbol} has no place in a pure folder")


# ---- all

def tree_files(root):
    """Every file to look at, as paths from the root."""
    found = []
    for top in CODE_FOLDERS + ("proto",):
        for path in sorted((root / top).rglob("*")) if (root / top).is_dir() else []:
            name = path.relative_to(root).as_posix()
            if path.suffix in (".c", ".h", ".py", ".sh", ".proto") and not name.startswith(SAMPLES) \
                    and "/node_modules/" not in name:
                found.append(name)
    return found + [name for name in ("dev", "CMakeLists.txt") if (root / name).exists()]


def role_of(text):
    """The first sentence of the file's first comment."""
    match = re.match(r"\s*(?:/\*|//)\s*(?:\S+\.[ch] - )?(.*)", text)
    return match.group(1).strip(" */.") if match else "?"


def outside_headers(text):
    return {header for _, header in INCLUDE.findall(text)
            if header and header[:-2] not in SYSTEM_HEADERS
            and not header.startswith(SYSTEM_FOLDERS + ("protobuf-c/",))}


def suggest(root, folders):
    """Print a line for each file that has none, under its folder; x.c and x.h share one."""
    missing = {}
    for path in tree_files(root):
        if path.startswith(SOURCE_FOLDERS) and path.endswith((".c", ".h")):
            folder, name = folder_of(path, folders)
            if folder is None or name not in folder.files:
                missing[path] = folder.name if folder else path.rpartition("/")[0]
    shown = None
    for path, folder in missing.items():
        stem, suffix = path[:-2], path[-2:]
        both = stem + ".c" in missing and stem + ".h" in missing
        if both and suffix == ".c":
            continue
        texts = [(root / (stem + end)).read_text() for end in ((".h", ".c") if both else (suffix,))]
        headers = sorted(set().union(*map(outside_headers, texts)))
        name = stem[len(folder) + 1:] + (".[ch]" if both else suffix)
        if shown != folder:
            print(folder)
            shown = folder
        print(f"    {name}: {role_of(texts[0])}" + "".join(f" <{header}>" for header in headers))


def main():
    parser = argparse.ArgumentParser(description="rules of the tree that a compiler does not know")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    parser.add_argument("--build", type=pathlib.Path, help="build folder, for the symbols rule")
    parser.add_argument("--rule", action="append", help="only this rule; may be repeated")
    parser.add_argument("--suggest", action="store_true", help="print missing lines of layers.txt")
    options = parser.parse_args()
    faults = Faults()
    folders = read_layers(options.root, faults)
    if options.suggest:
        suggest(options.root, folders)
        return 0
    check_layers(options.root, folders, faults)
    for path in tree_files(options.root):
        check_file(options.root, path, folders, faults)
    if options.build:
        check_symbols(options.build, folders, faults)
    shown = [line for line in faults.lines
             if not options.rule or re.search(r"\[(\w+)\]", line).group(1) in options.rule]
    print("\n".join(shown), end="\n" if shown else "")
    return 1 if shown else 0


if __name__ == "__main__":
    sys.exit(main())
