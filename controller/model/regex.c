/* An expression is compiled as it is read, without a tree: jumps are relative, so that a piece of
 * program can be moved and copied. Matching follows all ways at once (Thompson's method). */
#include "controller/model/regex.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

enum operation {
    TAKE_RANGES = 1, /* a character in one of the ranges */
    TAKE_OTHERS,     /* a character in none of them */
    SPLIT,           /* go on at both places */
    JUMP,            /* go on at `x` */
    AT_BEGIN,
    AT_END,
    MATCH,
};

/* `x` and `y`: the ranges' first and count, or where to go on, relative to this instruction. */
struct instruction {
    enum operation operation;
    int32_t x;
    int32_t y;
};

struct range {
    uint32_t low;
    uint32_t high;
};

enum {
    CHARACTER_MAX = 0x10ffff,
    NO_CHARACTER = 0xfffd,               /* stands for a byte that is not UTF-8 */
    RANGES_PER_ESCAPE = 5,               /* \W has the most */
    RANGES_MAX = PEN_REGEX_TEXT_MAX * 4, /* the dot has 4 for one byte, an escape 5 for two */
};

struct pen_regex {
    size_t size;
    size_t ranges_count;
    struct instruction program[PEN_REGEX_PROGRAM_MAX];
    struct range ranges[RANGES_MAX];
};

/* A group that is open, or the whole expression. */
struct frame {
    size_t begin;   /* of its program */
    size_t branch;  /* where the side of `|` that is being read begins */
    size_t atom;    /* where the last atom begins */
    bool has_atom;  /* that a quantifier may follow */
    bool repeated;  /* the last atom has its quantifier */
    int32_t leaves; /* the last JUMP to the group's end, whose x is the one before; -1 none */
};

struct parser {
    struct pen_regex *regex;
    const char *text;
    const char *at;
    struct frame frames[PEN_REGEX_DEPTH_MAX + 1];
    size_t depth;
    struct pen_error *err;
};

/* ---- errors */

static int malformed(const struct parser *self, const char *what)
{
    return pen_fail(self->err, PEN_EINVAL, "regular expression '%.200s': %s at character %zu",
                    self->text, what, (size_t)(self->at - self->text) + 1);
}

static int unsupported(const struct parser *self, const char *what)
{
    return pen_fail(self->err, PEN_EUNSUPPORTED,
                    "regular expression '%.200s': this release of Penstock does not support %s "
                    "(character %zu)",
                    self->text, what, (size_t)(self->at - self->text) + 1);
}

/* ---- characters */

/* One character of UTF-8; a byte that begins none is NO_CHARACTER. The size in bytes. */
static size_t decode(const char *text, uint32_t *ret_character)
{
    const uint8_t *b = (const uint8_t *)text;
    size_t size = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    uint32_t character = size == 1   ? b[0]
                         : size == 2 ? b[0] & 0x1fu
                         : size == 3 ? b[0] & 0x0fu
                                     : b[0] & 0x07u;
    for (size_t i = 1; i < size; i++) {
        if ((b[i] & 0xc0) != 0x80)
            size = 0; /* a zero byte ends it, too */
        else
            character = character << 6 | (b[i] & 0x3fu);
    }
    bool odd = (size == 3 && (character < 0x800 || (character >> 11) == 0x1b)) ||
               (size == 4 && (character < 0x10000 || character > CHARACTER_MAX)) || b[0] > 0xf4;
    if (size == 0 || odd) {
        *ret_character = NO_CHARACTER;
        return 1;
    }
    *ret_character = character;
    return size;
}

/* ---- program */

static int add(struct parser *self, enum operation operation, int32_t x, int32_t y)
{
    struct pen_regex *regex = self->regex;
    if (regex->size == PEN_REGEX_PROGRAM_MAX)
        return malformed(self, "it is too large when written out; the limit is reached");
    regex->program[regex->size++] = (struct instruction){operation, x, y};
    return 0;
}

/* The same before what begins at `at`; nothing jumps over that place yet. */
static int insert(struct parser *self, size_t at, enum operation operation, int32_t x, int32_t y)
{
    int rc = add(self, operation, x, y);
    if (rc < 0)
        return rc;
    struct instruction *program = self->regex->program;
    memmove(&program[at + 1], &program[at], (self->regex->size - 1 - at) * sizeof program[0]);
    program[at] = (struct instruction){operation, x, y};
    return 0;
}

static void add_range(struct parser *self, uint32_t low, uint32_t high)
{
    struct pen_regex *regex = self->regex;
    CHECK(regex->ranges_count < RANGES_MAX); /* the text is not long enough for more */
    regex->ranges[regex->ranges_count++] = (struct range){low, high};
}

static struct frame *top(struct parser *self)
{
    return &self->frames[self->depth];
}

static void begin_atom(struct parser *self)
{
    struct frame *frame = top(self);
    frame->atom = self->regex->size;
    frame->has_atom = true;
    frame->repeated = false;
}

/* An atom that takes one character of the ranges from `first` on. */
static int add_take(struct parser *self, size_t first, bool others)
{
    begin_atom(self);
    return add(self, others ? TAKE_OTHERS : TAKE_RANGES, (int32_t)first,
               (int32_t)(self->regex->ranges_count - first));
}

static int add_literal(struct parser *self, uint32_t character)
{
    size_t first = self->regex->ranges_count;
    add_range(self, character, character);
    return add_take(self, first, false);
}

/* ---- escapes */

static const struct {
    char letter;
    struct range ranges[RANGES_PER_ESCAPE];
} sets[] = {
    {'d', {{'0', '9'}}},
    {'D', {{0, '0' - 1}, {'9' + 1, CHARACTER_MAX}}},
    {'w', {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
    {'W',
     {{0, '0' - 1},
      {'9' + 1, 'A' - 1},
      {'Z' + 1, '_' - 1},
      {'_' + 1, 'a' - 1},
      {'z' + 1, CHARACTER_MAX}}},
    {'s', {{'\t', '\r'}, {' ', ' '}}},
    {'S', {{0, '\t' - 1}, {'\r' + 1, ' ' - 1}, {' ' + 1, CHARACTER_MAX}}},
};

/* The ranges of \d and the like; false when the letter is no such. */
static bool add_set(struct parser *self, char letter)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (sets[i].letter != letter)
            continue;
        for (size_t k = 0; k < RANGES_PER_ESCAPE && sets[i].ranges[k].high > 0; k++)
            add_range(self, sets[i].ranges[k].low, sets[i].ranges[k].high);
        return true;
    }
    return false;
}

/* Behind a backslash: one character that stands for itself, or a control character. */
static int read_escaped(struct parser *self, uint32_t *ret_character)
{
    static const char letters[] = "tnrf";
    static const char meanings[] = "\t\n\r\f";
    char c = *self->at;
    const char *found = c == 0 ? NULL : strchr(letters, c);
    if (c == 0)
        return malformed(self, "a backslash with nothing behind it");
    if (c >= '1' && c <= '9')
        return unsupported(self, "back references");
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '0';
    if (letter && found == NULL) {
        char what[] = "the escape \\?";
        what[sizeof what - 2] = c;
        return unsupported(self, what);
    }
    if (found != NULL) {
        *ret_character = (uint32_t)meanings[found - letters];
        self->at++;
        return 0;
    }
    self->at += decode(self->at, ret_character);
    return 0;
}

static int read_escape(struct parser *self)
{
    self->at++;
    size_t first = self->regex->ranges_count;
    if (*self->at != 0 && add_set(self, *self->at)) {
        self->at++;
        return add_take(self, first, false);
    }
    uint32_t character = 0;
    int rc = read_escaped(self, &character);
    return rc < 0 ? rc : add_literal(self, character);
}

/* ---- [ ] */

/* One end of a range, or \d and the like, whose ranges are then added. */
static int read_member(struct parser *self, uint32_t *ret_character, bool *ret_set)
{
    *ret_set = false;
    if (*self->at == '[')
        return unsupported(self, "a '[' within [ ]");
    if (self->at[0] == '&' && self->at[1] == '&')
        return unsupported(self, "intersections (&&) within [ ]");
    if (*self->at != '\\') {
        self->at += decode(self->at, ret_character);
        return 0;
    }
    self->at++;
    if (*self->at != 0 && add_set(self, *self->at)) {
        self->at++;
        *ret_set = true;
        return 0;
    }
    return read_escaped(self, ret_character);
}

static int read_range(struct parser *self)
{
    uint32_t low = 0;
    uint32_t high = 0;
    bool set = false;
    int rc = read_member(self, &low, &set);
    bool ranges = rc == 0 && self->at[0] == '-' && self->at[1] != ']' && self->at[1] != 0;
    if (rc < 0 || (set && !ranges))
        return rc;
    if (!ranges) {
        add_range(self, low, low);
        return 0;
    }
    if (set)
        return malformed(self, "a range that begins with a set");
    self->at++;
    if ((rc = read_member(self, &high, &set)) < 0)
        return rc;
    if (set)
        return malformed(self, "a range that ends with a set");
    if (high < low)
        return malformed(self, "a range whose end comes before its begin");
    add_range(self, low, high);
    return 0;
}

static int read_class(struct parser *self)
{
    size_t first = self->regex->ranges_count;
    self->at++;
    bool others = *self->at == '^';
    if (others)
        self->at++;
    do {
        if (*self->at == 0)
            return malformed(self, "a '[' without its ']'");
        int rc = read_range(self);
        if (rc < 0)
            return rc;
    } while (*self->at != ']');
    self->at++;
    return add_take(self, first, others);
}

/* ---- groups and | */

static int open_group(struct parser *self)
{
    if (self->at[1] == '?' && self->at[2] != ':') {
        char c = self->at[2];
        if (c == '=' || c == '!' || (c == '<' && (self->at[3] == '=' || self->at[3] == '!')))
            return unsupported(self, "look-around, (?= (?! (?<= (?<!");
        if (c == '<')
            return unsupported(self, "named groups");
        return unsupported(self, c == '>' ? "atomic groups, (?>" : "flags, (?");
    }
    if (self->depth == PEN_REGEX_DEPTH_MAX)
        return malformed(self, "groups are too deep");
    begin_atom(self);
    self->at += self->at[1] == '?' ? 3 : 1;
    self->depth++;
    size_t size = self->regex->size;
    *top(self) = (struct frame){.begin = size, .branch = size, .leaves = -1};
    return 0;
}

/* The sides of | that are complete go on behind the group. */
static void land_leaves(struct parser *self)
{
    struct instruction *program = self->regex->program;
    for (int32_t at = top(self)->leaves; at >= 0;) {
        int32_t before = program[at].x;
        program[at].x = (int32_t)self->regex->size - at;
        at = before;
    }
}

static int close_group(struct parser *self)
{
    if (self->depth == 0)
        return malformed(self, "a ')' without its '('");
    land_leaves(self);
    self->depth--; /* the group is now the last atom of the frame around it */
    self->at++;
    return 0;
}

static int begin_side(struct parser *self)
{
    struct frame *frame = top(self);
    int32_t length = (int32_t)(self->regex->size - frame->branch);
    int rc = insert(self, frame->branch, SPLIT, 1, length + 2);
    if (rc == 0)
        rc = add(self, JUMP, frame->leaves, 0);
    if (rc < 0)
        return rc;
    frame->leaves = (int32_t)self->regex->size - 1;
    frame->branch = self->regex->size;
    frame->has_atom = false;
    self->at++;
    return 0;
}

/* ---- quantifiers */

static int read_number(struct parser *self, int32_t *ret_number)
{
    if (*self->at < '0' || *self->at > '9')
        return malformed(self, "a number is missing in { }");
    int32_t number = 0;
    for (; *self->at >= '0' && *self->at <= '9'; self->at++) {
        number = number * 10 + (*self->at - '0');
        if (number > PEN_REGEX_REPEAT_MAX)
            return malformed(self, "a number in { } is above 255");
    }
    *ret_number = number;
    return 0;
}

/* {m} {m,} {m,n}; most is -1 for no limit. */
static int read_counts(struct parser *self, int32_t *ret_least, int32_t *ret_most)
{
    self->at++;
    int rc = read_number(self, ret_least);
    if (rc < 0)
        return rc;
    *ret_most = *ret_least;
    if (*self->at == ',') {
        self->at++;
        *ret_most = -1;
        if (*self->at != '}' && (rc = read_number(self, ret_most)) < 0)
            return rc;
    }
    if (*self->at != '}')
        return malformed(self, "a '{' without its '}'");
    if (*ret_most >= 0 && *ret_most < *ret_least)
        return malformed(self, "numbers in { } that are the wrong way round");
    self->at++;
    return 0;
}

/* Write the atom, which is `length` instructions from `atom` on, as often as asked for. */
static int repeat(struct parser *self, int32_t least, int32_t most)
{
    struct pen_regex *regex = self->regex;
    size_t atom = top(self)->atom;
    size_t length = regex->size - atom;
    size_t optional = most < 0 ? 1 : (size_t)(most - least);
    if (atom + (size_t)least * length + optional * (length + 2) > PEN_REGEX_PROGRAM_MAX)
        return malformed(self, "it is too large when written out; the limit is reached");
    struct instruction *copy = malloc((length + 1) * sizeof *copy);
    if (copy == NULL)
        return pen_fail(self->err, PEN_ENOMEM, "no memory for a regular expression");
    memcpy(copy, &regex->program[atom], length * sizeof *copy);
    regex->size = atom;
    for (int32_t i = 0; i < least; i++, regex->size += length)
        memcpy(&regex->program[regex->size], copy, length * sizeof *copy);
    int32_t step = (int32_t)length + 1;
    for (int32_t i = 0; i < most - least; i++) { /* each may be the last: on to the end of all */
        regex->program[regex->size++] = (struct instruction){SPLIT, 1, (most - least - i) * step};
        memcpy(&regex->program[regex->size], copy, length * sizeof *copy);
        regex->size += length;
    }
    if (most < 0) {
        regex->program[regex->size++] = (struct instruction){SPLIT, 1, step + 1};
        memcpy(&regex->program[regex->size], copy, length * sizeof *copy);
        regex->size += length;
        regex->program[regex->size++] = (struct instruction){JUMP, -step, 0};
    }
    free(copy);
    return 0;
}

static int read_quantifier(struct parser *self)
{
    if (!top(self)->has_atom)
        return malformed(self, "a quantifier with nothing before it");
    if (top(self)->repeated)
        return malformed(self, "a quantifier behind another");
    int32_t least = *self->at == '+' ? 1 : 0;
    int32_t most = *self->at == '?' ? 1 : -1;
    int rc = 0;
    if (*self->at == '{')
        rc = read_counts(self, &least, &most);
    else
        self->at++;
    if (rc < 0)
        return rc;
    if (*self->at == '+')
        return unsupported(self, "possessive quantifiers");
    if (*self->at == '?')
        self->at++;
    top(self)->repeated = true;
    return repeat(self, least, most);
}

/* ---- all of it */

static int read_one(struct parser *self)
{
    size_t first = self->regex->ranges_count;
    uint32_t character = 0;
    switch (*self->at) {
    case '\\':
        return read_escape(self);
    case '[':
        return read_class(self);
    case '(':
        return open_group(self);
    case ')':
        return close_group(self);
    case '|':
        return begin_side(self);
    case '*':
    case '+':
    case '?':
    case '{':
        return read_quantifier(self);
    case '^':
    case '$':
        begin_atom(self);
        return add(self, *self->at++ == '^' ? AT_BEGIN : AT_END, 0, 0);
    case '.': /* all but ends of lines */
        add_range(self, '\n', '\n');
        add_range(self, '\r', '\r');
        add_range(self, 0x85, 0x85);
        add_range(self, 0x2028, 0x2029);
        self->at++;
        return add_take(self, first, true);
    default:
        self->at += decode(self->at, &character);
        return add_literal(self, character);
    }
}

static int parse(struct parser *self)
{
    *top(self) = (struct frame){.leaves = -1};
    while (*self->at != 0) {
        int rc = read_one(self);
        if (rc < 0)
            return rc;
    }
    if (self->depth > 0)
        return malformed(self, "a '(' without its ')'");
    land_leaves(self);
    return add(self, MATCH, 0, 0);
}

int pen_regex_parse(const char *text, struct pen_regex **ret_regex, struct pen_error *err)
{
    if (strlen(text) > PEN_REGEX_TEXT_MAX)
        return pen_fail(err, PEN_EINVAL, "regular expression of %zu bytes: %d are the most",
                        strlen(text), PEN_REGEX_TEXT_MAX);
    struct pen_regex *regex = calloc(1, sizeof *regex);
    if (regex == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a regular expression");
    struct parser parser = {.regex = regex, .text = text, .at = text, .err = err};
    int rc = parse(&parser);
    if (rc < 0)
        pen_regex_destroy(&regex);
    else
        *ret_regex = regex;
    return rc;
}

void pen_regex_destroy(struct pen_regex **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

/* ---- matching */

/* The places in the program that the text read so far may have led to. */
struct places {
    size_t count;
    size_t at[PEN_REGEX_PROGRAM_MAX];
};

struct match {
    const struct pen_regex *regex;
    struct places lists[2];
    size_t stack[PEN_REGEX_PROGRAM_MAX];
    uint32_t seen[PEN_REGEX_PROGRAM_MAX]; /* the round in which the place was entered last */
    uint32_t round;
    uint32_t asked[RANGES_MAX]; /* the round in which the set that begins here was looked at last */
    bool within[RANGES_MAX];    /* and what came of it: copies of an atom share their set */
};

static void push(struct match *self, size_t at, size_t *depth)
{
    CHECK(at < self->regex->size);
    if (self->seen[at] == self->round)
        return;
    self->seen[at] = self->round;
    self->stack[(*depth)++] = at; /* each place once a round: it cannot overflow */
}

static size_t place_at(size_t at, int32_t step)
{
    return step < 0 ? at - (size_t)-step : at + (size_t)step;
}

/* Enter a place, and all that are reached from it without a character. */
static void enter(struct match *self, struct places *places, size_t at, bool begins, bool ends)
{
    size_t depth = 0;
    push(self, at, &depth);
    while (depth > 0) {
        at = self->stack[--depth];
        const struct instruction *instruction = &self->regex->program[at];
        switch (instruction->operation) {
        case SPLIT:
            push(self, place_at(at, instruction->y), &depth);
            push(self, place_at(at, instruction->x), &depth);
            break;
        case JUMP:
            push(self, place_at(at, instruction->x), &depth);
            break;
        case AT_BEGIN:
        case AT_END:
            if (instruction->operation == AT_BEGIN ? begins : ends)
                push(self, at + 1, &depth);
            break;
        case TAKE_RANGES:
        case TAKE_OTHERS:
        case MATCH:
            places->at[places->count++] = at;
            break;
        }
    }
}

static bool takes(struct match *self, const struct instruction *instruction, uint32_t character)
{
    if (instruction->operation == MATCH)
        return false;
    size_t set = (size_t)instruction->x;
    if (self->asked[set] != self->round) {
        self->asked[set] = self->round;
        self->within[set] = false;
        for (int32_t i = 0; i < instruction->y && !self->within[set]; i++) {
            const struct range *range = &self->regex->ranges[instruction->x + i];
            self->within[set] = character >= range->low && character <= range->high;
        }
    }
    return self->within[set] == (instruction->operation == TAKE_RANGES);
}

static bool run(struct match *self, const char *text)
{
    const struct pen_regex *regex = self->regex;
    struct places *now = &self->lists[0];
    struct places *next = &self->lists[1];
    self->round = 1;
    enter(self, now, 0, true, *text == 0);
    while (*text != 0 && now->count > 0) {
        uint32_t character = 0;
        text += decode(text, &character);
        self->round++;
        next->count = 0;
        for (size_t i = 0; i < now->count; i++)
            if (takes(self, &regex->program[now->at[i]], character))
                enter(self, next, now->at[i] + 1, false, *text == 0);
        struct places *swap = now;
        now = next;
        next = swap;
    }
    for (size_t i = 0; i < now->count; i++)
        if (regex->program[now->at[i]].operation == MATCH)
            return true;
    return false;
}

int pen_regex_matches(const struct pen_regex *self, const char *text, bool *ret_matches,
                      struct pen_error *err)
{
    if (strlen(text) > PEN_REGEX_SUBJECT_MAX)
        return pen_fail(err, PEN_EINVAL,
                        "a text of %zu bytes is too long for MATCHES: %d are the "
                        "most",
                        strlen(text), PEN_REGEX_SUBJECT_MAX);
    struct match *match = calloc(1, sizeof *match);
    if (match == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to match a regular expression");
    match->regex = self;
    *ret_matches = run(match, text);
    free(match);
    return 0;
}
