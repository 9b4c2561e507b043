/* tests/golden/golden.c - run scenarios and compare their traces (README.md)
 *
 *     golden [--bless] FILE...
 *
 * Each scenario runs twice: as it is, and with a restart of the controller after every commit.
 * Both have to give the trace that stands in the file. --bless writes the first one into the file
 * instead, for a person to read in the diff. Exit status 1 when a trace differs.
 */
#include "tests/golden/golden.h"

#include <errno.h>

static const char no_restarts[] = "# no restarts: ";

void story_wrong(const struct story *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", self->file, self->line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

const char *command_word(const struct story *self, const struct command *command, size_t index)
{
    if (index >= command->count)
        story_wrong(self, "'%s' needs a word more", command->words[0]);
    return command->words[index];
}

const char *command_value(const struct command *command, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 1; i < command->count; i++)
        if (strncmp(command->words[i], name, size) == 0 && command->words[i][size] == '=')
            return command->words[i] + size + 1;
    return NULL;
}

/* Words are parted by blanks; "..." holds blanks in, also within a word: command="a b". */
static void cut(const struct story *self, const char *line, struct command *ret_command)
{
    *ret_command = (struct command){.text = mem_text(line)};
    char *to = ret_command->text;
    bool quoted = false;
    bool inside = false;
    for (const char *from = line; *from != '\0'; from++) {
        if (!quoted && *from == ' ') {
            if (inside)
                *to++ = '\0';
            inside = false;
            continue;
        }
        if (!inside) {
            if (ret_command->count == STORY_WORDS)
                story_wrong(self, "more than %d words", STORY_WORDS);
            ret_command->words[ret_command->count++] = to;
            inside = true;
        }
        if (*from == '"')
            quoted = !quoted;
        else
            *to++ = *from;
    }
    *to = '\0';
    if (quoted || ret_command->count == 0)
        story_wrong(self, "a quote has no end, or the line is empty");
}

/* Perform the commands of the text; the result is the text with the trace that they gave. */
static char *run(const char *file, const char *text, bool restart_always)
{
    struct story *story = mem_zero(sizeof *story);
    struct pen_buf result = {0};
    story_begin(story, file, restart_always);
    char *copy = mem_text(text);
    char *rest = copy;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        story->line++;
        if (rest == NULL && line[0] == '\0')
            break;
        if (strncmp(line, "    ", 4) == 0)
            continue; /* expected before: made anew */
        pen_buf_puts(&result, line);
        pen_buf_putc(&result, '\n');
        if (line[0] == '#' || line[0] == '\0')
            continue;
        if (strncmp(line, "> ", 2) != 0)
            story_wrong(story, "a line begins with '> ', '#' or four blanks");
        struct command command;
        cut(story, line + 2, &command);
        if (!author_perform(story, &command) && !worker_perform(story, &command) &&
            !hook_perform(story, &command))
            story_perform(story, &command);
        pen_buf_append(&result, story->trace.data, story->trace.size);
        pen_buf_clear(&story->trace);
        free(command.text);
    }
    story_end(story);
    free(copy);
    free(story);
    return pen_buf_take_text(&result);
}

static char *read_file(const char *file)
{
    FILE *stream = fopen(file, "r");
    if (stream == NULL) {
        fprintf(stderr, "%s: %s\n", file, strerror(errno));
        exit(2);
    }
    struct pen_buf text = {0};
    char piece[4096];
    size_t size;
    while ((size = fread(piece, 1, sizeof piece, stream)) > 0)
        pen_buf_append(&text, piece, size);
    fclose(stream);
    char *result = mem_text(pen_buf_text(&text));
    pen_buf_release(&text);
    return result;
}

static void write_file(const char *file, const char *text)
{
    FILE *stream = fopen(file, "w");
    bool written = stream != NULL && fputs(text, stream) >= 0;
    if (stream == NULL || fclose(stream) != 0 || !written) {
        fprintf(stderr, "%s: %s\n", file, strerror(errno));
        exit(2);
    }
}

/* ---- the difference, line by line */

struct lines {
    char *text;
    char **line;
    size_t count;
};

static struct lines split(const char *text)
{
    struct lines self = {.text = mem_text(text)};
    char *rest = self.text;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        self.line = mem_grow(self.line, self.count);
        self.line[self.count++] = line;
    }
    return self;
}

static void lines_release(struct lines *self)
{
    free(self->text);
    free(self->line);
}

/* The longest common part keeps its place; the rest is marked with - (expected) and + (found). */
static void print_diff(const char *expected, const char *found)
{
    struct lines a = split(expected);
    struct lines b = split(found);
    size_t width = b.count + 1;
    uint32_t *longest = mem_zero((a.count + 1) * width * sizeof *longest);
    for (size_t i = a.count; i-- > 0;)
        for (size_t j = b.count; j-- > 0;) {
            uint32_t down = longest[(i + 1) * width + j];
            uint32_t right = longest[i * width + j + 1];
            longest[i * width + j] = strcmp(a.line[i], b.line[j]) == 0
                                         ? longest[(i + 1) * width + j + 1] + 1
                                     : down > right ? down
                                                    : right;
        }
    size_t i = 0;
    size_t j = 0;
    while (i < a.count || j < b.count) {
        if (i < a.count && j < b.count && strcmp(a.line[i], b.line[j]) == 0) {
            if (strncmp(a.line[i], "> ", 2) == 0)
                printf("  %s\n", a.line[i]); /* the commands say where it is */
            i++;
            j++;
        } else if (j == b.count ||
                   (i < a.count && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
            printf("- %s\n", a.line[i++]);
        } else {
            printf("+ %s\n", b.line[j++]);
        }
    }
    free(longest);
    lines_release(&a);
    lines_release(&b);
}

/* The trace without messages to the world: after a restart they may be sent once more. To be freed.
 */
static char *without_messages(const char *text)
{
    struct pen_buf kept = {0};
    struct lines lines = split(text);
    for (size_t i = 0; i + 1 < lines.count; i++)
        if (strstr(lines.line[i], "  -> ") == NULL)
            pen_buf_printf(&kept, "%s\n", lines.line[i]);
    lines_release(&lines);
    return pen_buf_take_text(&kept);
}

static bool same_trace(const char *file, const char *how, const char *expected, const char *found)
{
    if (strcmp(expected, found) == 0)
        return true;
    printf("%s: %s: the trace differs (- expected, + found)\n", file, how);
    print_diff(expected, found);
    return false;
}

/* Whether the scenario is fine. */
static bool check(const char *file, bool bless)
{
    char *expected = read_file(file);
    char *found = run(file, expected, false);
    bool good = true;
    if (bless && strcmp(expected, found) != 0) {
        write_file(file, found);
        printf("%s: written\n", file);
        free(expected);
        expected = mem_text(found);
    }
    good = same_trace(file, "as it is", expected, found);
    bool restarts = strstr(expected, no_restarts) == NULL;
    if (good && restarts) {
        char *again = run(file, expected, true);
        char *wanted = without_messages(expected);
        good = same_trace(file, "with a restart after every commit", wanted, again);
        free(wanted);
        free(again);
    }
    printf("%s %s%s\n", good ? "ok  " : "FAIL", file,
           good && restarts ? " (twice: also with a restart after every commit)" : "");
    free(found);
    free(expected);
    return good;
}

int main(int argc, char **argv)
{
    bool bless = argc > 1 && strcmp(argv[1], "--bless") == 0;
    int first = bless ? 2 : 1;
    if (first >= argc) {
        fprintf(stderr, "usage: golden [--bless] FILE...\n");
        return 2;
    }
    bool good = true;
    for (int i = first; i < argc; i++)
        good = check(argv[i], bless) && good;
    return good ? 0 : 1;
}
