/* TODO: the other half */
int pen_fixmeup; /* a word inside a word is none */
// FIXME
