/* Phrases against words. At first use the table is compiled: each phrase into steps, and an index from the key of its
 * first word (or from its first set) to the phrases that begin so. A reply then costs one look into the index a word.
 * All memory is static; a table that does not fit aborts at first use, that is in the first test. */
#include "common/record/phrases.h"

#include <pthread.h>
#include <stdlib.h>

enum step_kind { STEP_WORD, STEP_PREFIX, STEP_SET, STEP_GAP };
/* Whether a step means what is said, who says it, or both. */
enum step_place { PLACE_TEXT, PLACE_NAME, PLACE_ANY };

struct step {
    enum step_kind kind;
    enum step_place place;
    struct span text;
    uint32_t sets;
};

struct rules {
    enum reply_class class;
    int rank;
    const char *phrases; /* separated by '|' */
};
#include "common/record/classify_rules.h"

#define SET_ENUM(id, members) SET_##id,
#define SET_MEMBERS(id, members) members,
#define SET_NAMES(id, members) #id,
enum set { CLASSIFY_SETS(SET_ENUM) SET_ADDR, SET_IP, SET_COUNT };
static const char *const set_members[] = { CLASSIFY_SETS(SET_MEMBERS) };
static const char *const set_names[SET_COUNT] = { CLASSIFY_SETS(SET_NAMES) "ADDR", "IP" };

enum { GAP_MAX = 5, BUCKETS = 1024, RULES_MAX = 4096, STEPS_MAX = 16384, ARENA = 131072, MEMBERS_MAX = 1024 };
enum { NONE = UINT16_MAX };

struct rule {
    uint16_t first, count; /* in steps */
    uint16_t next;         /* rule with the same beginning */
    enum reply_class class;
    int rank, score;
    int only; /* a code or its first digit: only such replies; 0: all */
};

static struct step steps[STEPS_MAX];
static unsigned step_count;
static struct rule rules[RULES_MAX];
static unsigned rule_count;
static struct {
    struct step step;
    uint16_t next;
} members[MEMBERS_MAX];
static unsigned member_count;
static uint16_t rules_by_word[BUCKETS], rules_by_set[SET_COUNT], members_by_word[BUCKETS];
static char arena[ARENA];
static size_t arena_used;

static unsigned bucket(uint32_t key) { return (unsigned)((key * 2654435761U) >> 22); }

static struct span keep(struct span s)
{
    if (s.n > ARENA - arena_used)
        abort();
    char *p = arena + arena_used;
    memcpy(p, s.p, s.n);
    arena_used += s.n;
    return span_of(p, s.n);
}

static struct step *new_step(void)
{
    if (step_count == STEPS_MAX)
        abort();
    steps[step_count] = (struct step){ 0 };
    return &steps[step_count++];
}

/* One word of the table makes one step, or one for each character of a CJK word. */
static void compile_words(struct span s)
{
    static struct words w;
    enum step_place place = PLACE_TEXT;
    enum step_kind kind = STEP_WORD;
    while (s.n > 0 && s.p[0] == '/') {
        place = place == PLACE_TEXT ? PLACE_ANY : PLACE_NAME;
        s = span_skip(s, 1);
    }
    if (s.n > 0 && s.p[s.n - 1] == '~') {
        kind = STEP_PREFIX;
        s.n--;
    }
    words_begin(&w);
    if (s.n > 0 && s.p[0] == '.')
        new_step()->text = keep(s);
    else
        words_add(&w, s);
    for (unsigned i = 0; i < w.count; i++) {
        struct step *step = new_step();
        step->place = place;
        step->kind = i + 1 == w.count ? kind : STEP_WORD;
        step->text = keep(w.word[i].text);
        if (step->kind == STEP_PREFIX && step->text.n < 4)
            abort();
    }
}

static int set_named(struct span s)
{
    for (int i = 0; i < SET_COUNT; i++)
        if (span_eq(s, span_str(set_names[i])))
            return i;
    return -1;
}

static struct span next_piece(struct span *s)
{
    *s = span_trim_left(*s);
    const char *end = s->n > 0 ? memchr(s->p, ' ', s->n) : NULL;
    struct span piece = span_head(*s, end ? (size_t)(end - s->p) : s->n);
    *s = span_skip(*s, piece.n);
    return piece;
}

static void compile_phrase(struct span s)
{
    for (struct span piece = next_piece(&s); piece.n > 0; piece = next_piece(&s)) {
        int set = set_named(piece);
        if (set >= 0) {
            struct step *step = new_step();
            step->kind = STEP_SET;
            step->sets = 1U << set;
        } else if (span_eq(piece, SPAN_LIT("*"))) {
            new_step()->kind = STEP_GAP;
        } else {
            compile_words(piece);
        }
    }
}

static void link_rule(uint16_t i)
{
    const struct step *first = &steps[rules[i].first];
    uint16_t *head;
    if (rules[i].count == 0 || first->kind == STEP_GAP)
        abort();
    if (first->kind == STEP_SET)
        head = &rules_by_set[__builtin_ctz(first->sets)];
    else
        head = &rules_by_word[bucket(words_key(first->text))];
    rules[i].next = *head;
    *head = i;
}

static void compile_rule(enum reply_class class, int rank, struct span text)
{
    if (rule_count == RULES_MAX)
        abort();
    struct rule *r = &rules[rule_count];
    int words = 0;
    r->class = class;
    r->rank = rank;
    const char *colon = memchr(text.p, ':', min_size(text.n, 4));
    if (colon) {
        r->only = atoi(text.p);
        text = span_skip(text, (size_t)(colon - text.p) + 1);
    }
    r->first = (uint16_t)step_count;
    compile_phrase(text);
    r->count = (uint16_t)(step_count - r->first);
    for (unsigned s = r->first; s < step_count; s++)
        words += steps[s].kind != STEP_GAP;
    r->score = rank * 64 + words;
    link_rule((uint16_t)rule_count++);
}

static void compile_rules(const struct rules *group)
{
    struct span s = span_str(group->phrases);
    while (s.n > 0) {
        const char *bar = memchr(s.p, '|', s.n);
        struct span text = span_head(s, bar ? (size_t)(bar - s.p) : s.n);
        compile_rule(group->class, group->rank, text);
        s = span_skip(s, text.n + 1);
    }
}

static void compile_set(int set)
{
    struct span s = span_str(set_members[set]);
    unsigned from = step_count;
    for (struct span piece = next_piece(&s); piece.n > 0; piece = next_piece(&s))
        compile_words(piece);
    for (unsigned i = from; i < step_count; i++) {
        if (member_count == MEMBERS_MAX)
            abort();
        uint16_t *head = &members_by_word[bucket(words_key(steps[i].text))];
        members[member_count].step = steps[i];
        members[member_count].step.sets = 1U << set;
        members[member_count].next = *head;
        *head = (uint16_t)member_count++;
    }
    step_count = from;
}

static void compile_all(void)
{
    memset(rules_by_word, 0xff, sizeof(rules_by_word));
    memset(rules_by_set, 0xff, sizeof(rules_by_set));
    memset(members_by_word, 0xff, sizeof(members_by_word));
    for (int set = 0; set < (int)ARRAY_LEN(set_members); set++)
        compile_set(set);
    for (size_t i = 0; i < ARRAY_LEN(classify_rules); i++)
        compile_rules(&classify_rules[i]);
}

static bool place_fits(enum step_place place, enum word_kind kind)
{
    return kind == WORD_NAME ? place != PLACE_TEXT : place != PLACE_NAME;
}

static bool text_fits(const struct step *step, const struct word *word)
{
    if (step->kind == STEP_PREFIX ? word->text.n < step->text.n : word->text.n != step->text.n)
        return false;
    return memcmp(word->text.p, step->text.p, step->text.n) == 0 && place_fits(step->place, word->kind);
}

static uint32_t word_sets(const struct word *word)
{
    uint32_t sets = 0;
    if (word->kind == WORD_ADDRESS)
        return 1U << SET_ADDR;
    if (word->kind == WORD_IP)
        return 1U << SET_IP;
    for (uint16_t m = members_by_word[bucket(word->key)]; m != NONE; m = members[m].next)
        if (text_fits(&members[m].step, word))
            sets |= members[m].step.sets;
    return sets;
}

static bool step_fits(const struct step *step, const struct word *word, uint32_t sets)
{
    return step->kind == STEP_SET ? (step->sets & sets) != 0 : word->text.n > 0 && text_fits(step, word);
}

/* Whether the steps fit the words from at on; a gap takes as few words as it can. */
static bool steps_fit(const struct step *step, unsigned count, const struct words *w, const uint32_t *sets, unsigned at)
{
    while (count > 0 && step->kind != STEP_GAP) {
        if (at == w->count || !step_fits(step, &w->word[at], sets[at]))
            return false;
        step++;
        count--;
        at++;
    }
    if (count == 0)
        return true;
    for (unsigned skip = 0; skip <= GAP_MAX && at + skip < w->count; skip++)
        if (steps_fit(step + 1, count - 1, w, sets, at + skip))
            return true;
    return false;
}

static void try_chain(uint16_t i, const struct words *w, const uint32_t *sets, unsigned at, int code, int *best)
{
    for (; i != NONE; i = rules[i].next) {
        const struct rule *r = &rules[i];
        bool better = *best < 0 || r->score > rules[*best].score || (r->score == rules[*best].score && i < *best);
        if (better && (r->only == 0 || r->only == code / 100 || r->only == code) &&
            steps_fit(&steps[r->first], r->count, w, sets, at))
            *best = i;
    }
}

struct phrase_hit phrases_find(const struct words *w, int code)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t sets[WORDS_MAX];
    int best = -1;
    pthread_once(&once, compile_all);
    for (unsigned i = 0; i < w->count; i++)
        sets[i] = word_sets(&w->word[i]);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->word[i].text.n > 0)
            try_chain(rules_by_word[bucket(w->word[i].key)], w, sets, i, code, &best);
        for (uint32_t left = sets[i]; left; left &= left - 1)
            try_chain(rules_by_set[__builtin_ctz(left)], w, sets, i, code, &best);
    }
    if (best < 0)
        return (struct phrase_hit){ CLASS_NONE, 0 };
    return (struct phrase_hit){ rules[best].class, rules[best].rank };
}
