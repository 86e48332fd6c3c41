/* scheme_choice.c - finds the scheme that a command is to use, or says which there are. */
#include "app/scheme_choice.h"

#include "base/suggest.h"

static void refuse(const struct scheme_set *set, const char *name, struct buf *errors)
{
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < scheme_count(set); i++)
        suggest_add(&suggest, scheme_name(scheme_at(set, i)));
    buf_addf(errors, "--scheme: there is no \"%s\"", name);
    if (suggest.best)
        buf_addf(errors, "; did you mean \"%s\"?", suggest.best);
    buf_add_str(errors, suggest.best ? " There are" : "; there are");
    for (size_t i = 0; i < scheme_count(set); i++)
        buf_addf(errors, "%s %s", i ? "," : "", scheme_name(scheme_at(set, i)));
    buf_add_char(errors, '\n');
}

struct scheme_set *scheme_choice_load(const char *dir, struct buf *errors)
{
    char error[512];
    struct scheme_set *set = scheme_set_new();
    if (!set) {
        buf_add_str(errors, "not enough memory\n");
        return NULL;
    }
    if (!dir || scheme_set_load_dir(set, dir, error, sizeof(error)) == ST_OK)
        return set;
    buf_addf(errors, "--schemes: %s\n", error);
    scheme_set_free(set);
    return NULL;
}

const struct scheme *scheme_choose(const struct scheme_set *set, const char *name,
                                   struct buf *errors)
{
    const struct scheme *scheme = scheme_find(set, slice_str(name));
    if (!scheme)
        refuse(set, name, errors);
    return scheme;
}
