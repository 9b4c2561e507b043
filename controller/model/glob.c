/* A pattern becomes a small automaton whose states are its elements; the text is walked once with
 * the set of states that are possible, which bounds the time of any pattern.
 *
 *     a { b c , d } e     at '{' every word may begin; a ',' that is reached is the end of a word
 *                         and goes to the '}'
 *     **<slash>           MAYBE goes to what follows at once, or through ANY and '/'
 */
#include "controller/model/glob.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum element_kind {
    ELEMENT_END = 0,
    ELEMENT_LITERAL,
    ELEMENT_ONE,     /* ? */
    ELEMENT_SET,     /* [...] */
    ELEMENT_SEGMENT, /* *: stays while no '/' comes, or passes */
    ELEMENT_ANY,     /* **: stays, or passes */
    ELEMENT_MAYBE,   /* before the ANY and '/' of **<slash>: passes to either side of them */
    ELEMENT_OPEN,
    ELEMENT_COMMA,
    ELEMENT_CLOSE,
};

struct element {
    uint8_t kind;
    uint16_t begin; /* of a set: its first member in codes; of OPEN and COMMA: the next of them */
    uint16_t end;   /* of a set: its ']' in codes; of OPEN and COMMA: their CLOSE */
    uint32_t code;  /* of a literal */
};

enum { ELEMENTS_MAX = PEN_TRIGGER_GLOB_SIZE_MAX + 1, STATE_WORDS = (ELEMENTS_MAX + 63) / 64 };

struct program {
    uint32_t
        codes[PEN_TRIGGER_GLOB_SIZE_MAX + 4]; /* characters of the pattern, and zeros behind them */
    size_t codes_count;
    struct element elements[ELEMENTS_MAX];
    size_t count; /* END included */
};

struct states {
    uint64_t words[STATE_WORDS];
};

static bool has(const struct states *states, size_t index)
{
    return (states->words[index / 64] >> (index % 64) & 1) != 0;
}

static void add(struct states *states, size_t index)
{
    states->words[index / 64] |= (uint64_t)1 << (index % 64);
}

/* One character; bytes that are not UTF-8 count as characters of their own. */
static uint32_t take_code(const char **at)
{
    const unsigned char *bytes = (const unsigned char *)*at;
    size_t more = bytes[0] >= 0xf0 && bytes[0] < 0xf5   ? 3
                  : bytes[0] >= 0xe0 && bytes[0] < 0xf0 ? 2
                  : bytes[0] >= 0xc2 && bytes[0] < 0xe0 ? 1
                                                        : 0;
    uint32_t code = more == 0 ? bytes[0] : bytes[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            *at += 1;
            return 0x110000u + bytes[0];
        }
        code = code << 6 | (bytes[i] & 0x3fu);
    }
    *at += more + 1;
    return more == 0 && code >= 0x80 ? 0x110000u + code : code;
}

/* Where the set that begins at `at` ends: its ']', or 0 when it does not. */
static size_t set_end(const uint32_t *codes, size_t at)
{
    if (codes[at] == '!')
        at++;
    if (codes[at] == ']') /* as the first it is a member */
        at++;
    while (codes[at] != 0 && codes[at] != ']')
        at += codes[at] == '\\' && codes[at + 1] != 0 ? 2 : 1;
    return codes[at] == ']' ? at : 0;
}

static bool set_has(const uint32_t *codes, size_t at, size_t end, uint32_t code)
{
    bool negated = codes[at] == '!';
    if (negated)
        at++;
    bool found = false;
    while (at < end) {
        if (codes[at] == '\\' && at + 1 < end)
            at++;
        uint32_t low = codes[at++];
        uint32_t high = low;
        if (at + 1 < end && codes[at] == '-') {
            at++;
            if (codes[at] == '\\' && at + 1 < end)
                at++;
            high = codes[at++];
        }
        if (code >= low && code <= high)
            found = true;
    }
    return found != negated && code != '/';
}

static void put(struct program *program, enum element_kind kind, uint32_t code)
{
    program->elements[program->count++] = (struct element){.kind = (uint8_t)kind, .code = code};
}

static size_t compile_star(struct program *program, size_t at)
{
    const uint32_t *codes = program->codes;
    if (codes[at + 1] != '*') {
        put(program, ELEMENT_SEGMENT, 0);
        return at + 1;
    }
    int before = program->count == 0 ? ELEMENT_OPEN : program->elements[program->count - 1].kind;
    bool starts = before == ELEMENT_OPEN || before == ELEMENT_COMMA || codes[at - 1] == '/';
    if (codes[at + 2] != '/' || !starts) {
        put(program, ELEMENT_ANY, 0);
        return at + 2;
    }
    put(program, ELEMENT_MAYBE, 0);
    put(program, ELEMENT_ANY, 0);
    put(program, ELEMENT_LITERAL, '/');
    return at + 3;
}

/* Link the OPEN and each COMMA of the braces that the last element closes. */
static void link_braces(struct program *program, size_t open)
{
    size_t close = program->count - 1;
    size_t next = close;
    for (size_t i = close; i-- > open;) {
        struct element *element = &program->elements[i];
        if (element->kind != ELEMENT_OPEN && element->kind != ELEMENT_COMMA)
            continue;
        element->begin = (uint16_t)next;
        element->end = (uint16_t)close;
        next = i;
    }
}

/* Compile one element at `at`, which is outside of braces when *open is 0, else their OPEN and one
 * more. Returns where the next begins, 0 for a fault, which *ret_fault then names. */
static size_t compile_element(struct program *program, size_t at, size_t *open,
                              const char **ret_fault)
{
    const uint32_t *codes = program->codes;
    switch (codes[at]) {
    case '\\':
        put(program, ELEMENT_LITERAL, codes[at + 1]);
        *ret_fault = "ends with a lone backslash";
        return codes[at + 1] == 0 ? 0 : at + 2;
    case '?':
        put(program, ELEMENT_ONE, 0);
        return at + 1;
    case '*':
        return compile_star(program, at);
    case '[': {
        size_t end = set_end(codes, at + 1);
        put(program, ELEMENT_SET, 0);
        program->elements[program->count - 1].begin = (uint16_t)(at + 1);
        program->elements[program->count - 1].end = (uint16_t)end;
        *ret_fault = "has a '[' without ']'";
        return end == 0 ? 0 : end + 1;
    }
    case '{':
        *ret_fault = "has braces within braces";
        if (*open != 0)
            return 0;
        put(program, ELEMENT_OPEN, 0);
        *open = program->count;
        return at + 1;
    case ',':
        put(program, *open != 0 ? ELEMENT_COMMA : ELEMENT_LITERAL, ',');
        return at + 1;
    case '}':
        put(program, *open != 0 ? ELEMENT_CLOSE : ELEMENT_LITERAL, '}');
        if (*open != 0)
            link_braces(program, *open - 1);
        *open = 0;
        return at + 1;
    default:
        put(program, ELEMENT_LITERAL, codes[at]);
        return at + 1;
    }
}

static int compile(const char *pattern, struct program *program, struct pen_error *err)
{
    memset(program, 0, sizeof *program);
    size_t size = strlen(pattern);
    if (size == 0)
        return pen_fail(err, PEN_EINVAL, "a pattern must not be empty");
    if (size > PEN_TRIGGER_GLOB_SIZE_MAX)
        return pen_fail(err, PEN_ELIMIT, "pattern '%.60s...' is longer than %d bytes", pattern,
                        PEN_TRIGGER_GLOB_SIZE_MAX);
    for (const char *at = pattern; *at != '\0';)
        program->codes[program->codes_count++] = take_code(&at);
    size_t open = 0;
    for (size_t at = 0; at < program->codes_count;) {
        const char *fault = NULL;
        at = compile_element(program, at, &open, &fault);
        if (at == 0)
            return pen_fail(err, PEN_EINVAL, "pattern '%s' %s", pattern, fault);
    }
    if (open != 0)
        return pen_fail(err, PEN_EINVAL, "pattern '%s' has a '{' without '}'", pattern);
    put(program, ELEMENT_END, 0);
    return 0;
}

/* Add what is reached without a character. That always lies ahead, so one walk suffices. */
static void pass(const struct program *program, struct states *states)
{
    for (size_t i = 0; i < program->count; i++) {
        if (!has(states, i))
            continue;
        switch (program->elements[i].kind) {
        case ELEMENT_MAYBE:
            add(states, i + 3);
            add(states, i + 1);
            break;
        case ELEMENT_SEGMENT:
        case ELEMENT_ANY:
        case ELEMENT_CLOSE:
            add(states, i + 1);
            break;
        case ELEMENT_OPEN:
            for (size_t word = i; program->elements[word].kind != ELEMENT_CLOSE;
                 word = program->elements[word].begin)
                add(states, word + 1);
            break;
        case ELEMENT_COMMA:
            add(states, program->elements[i].end);
            break;
        default:
            break;
        }
    }
}

static struct states step(const struct program *program, const struct states *from, uint32_t code)
{
    struct states to = {{0}};
    for (size_t i = 0; i < program->count; i++) {
        if (!has(from, i))
            continue;
        const struct element *element = &program->elements[i];
        switch (element->kind) {
        case ELEMENT_LITERAL:
            if (code == element->code)
                add(&to, i + 1);
            break;
        case ELEMENT_ONE:
            if (code != '/')
                add(&to, i + 1);
            break;
        case ELEMENT_SET:
            if (set_has(program->codes, element->begin, element->end, code))
                add(&to, i + 1);
            break;
        case ELEMENT_SEGMENT:
            if (code != '/')
                add(&to, i);
            break;
        case ELEMENT_ANY:
            add(&to, i);
            break;
        default:
            break;
        }
    }
    pass(program, &to);
    return to;
}

int pen_trigger_glob_check(const char *pattern, struct pen_error *err)
{
    struct program program;
    return compile(pattern, &program, err);
}

bool pen_trigger_glob_match(const char *pattern, const char *text)
{
    struct program program;
    if (compile(pattern, &program, NULL) < 0)
        return false;
    struct states states = {{0}};
    add(&states, 0);
    pass(&program, &states);
    while (*text != '\0')
        states = step(&program, &states, take_code(&text));
    return has(&states, program.count - 1);
}

bool pen_trigger_criteria_match(const Pen__GitFilterCriteria *criteria, const char *text)
{
    if (criteria == NULL)
        return true;
    for (size_t i = 0; i < criteria->n_excludes; i++) {
        if (pen_trigger_glob_match(criteria->excludes[i], text))
            return false;
    }
    for (size_t i = 0; i < criteria->n_includes; i++) {
        if (pen_trigger_glob_match(criteria->includes[i], text))
            return true;
    }
    return criteria->n_includes == 0;
}
