int pen_rows(void)
{
    PEN_CLEANUP(free_text) char *text = take();
    PEN_CLEANUP(table_release)
    struct table table = {0};
    PEN_CLEANUP(table_release) struct table other;
    if (text == 0)
        return -1;
    PEN_CLEANUP(free_text)
    char *last;
    return begin(&other, &table, &last);
}
