/* SCOOP_FUNCTION finds the calling convention of every parameter type: one row of each class. */
#include "libscoop/function.h"

#include <criterion/criterion.h>
#include <string.h>

#define ARRAY(size)                                                                                \
    struct array##size {                                                                           \
        unsigned char c[size];                                                                     \
    };                                                                                             \
    SCOOP_FUNCTION(struct array##size, next##size, struct array##size x)                           \
    {                                                                                              \
        x.c[0]++;                                                                                  \
        return x;                                                                                  \
    }                                                                                              \
    Test(macro, passes_a_struct_of_##size##_bytes)                                                 \
    {                                                                                              \
        struct array##size x;                                                                      \
        memset(&x, 7, sizeof(x));                                                                  \
        CALL(next##size, x, struct array##size);                                                   \
        cr_assert_eq(result.c[0], 8);                                                              \
        for (size_t i = 1; i < size; i++)                                                          \
            cr_assert_eq(result.c[i], 7);                                                          \
    }

/* Calls by the registered handle; the result is in `result`. */
#define CALL(name, argument, type)                                                                 \
    type result;                                                                                   \
    SCOOP_HANDLE(name)->invoke(&argument, &result);                                                \
    cr_assert_eq(SCOOP_HANDLE(name)->argument_bytes, sizeof(argument));                            \
    cr_assert_eq(SCOOP_HANDLE(name)->result_bytes, sizeof(result))

#define SCALAR(type, name)                                                                         \
    SCOOP_FUNCTION(type, next_##name, type x)                                                      \
    {                                                                                              \
        return (type)(x + 1);                                                                      \
    }                                                                                              \
    Test(macro, passes_##name)                                                                     \
    {                                                                                              \
        const type x = (type)41;                                                                   \
        CALL(next_##name, x, type);                                                                \
        cr_assert(result == (type)42);                                                             \
    }

SCALAR(char, char)
SCALAR(signed char, signed_char)
SCALAR(unsigned char, unsigned_char)
SCALAR(short, short)
SCALAR(unsigned short, unsigned_short)
SCALAR(int, int)
SCALAR(unsigned, unsigned)
SCALAR(long, long)
SCALAR(unsigned long, unsigned_long)
SCALAR(long long, long_long)
SCALAR(unsigned long long, unsigned_long_long)
SCALAR(float, float)
SCALAR(double, double)
SCALAR(long double, long_double)
SCALAR(double _Complex, complex)

ARRAY(1)
ARRAY(2)
ARRAY(3)
ARRAY(4)
ARRAY(5)
ARRAY(7)
ARRAY(8)
ARRAY(9)
ARRAY(12)
ARRAY(16)
ARRAY(17)
ARRAY(24)
ARRAY(64)
ARRAY(1000)

SCOOP_FUNCTION(bool, inverse, bool x)
{
    return !x;
}

Test(macro, passes_bool)
{
    const bool x = false;
    CALL(inverse, x, bool);
    cr_assert(result);
}

enum colour { RED, GREEN };
SCOOP_FUNCTION(enum colour, other, enum colour x)
{
    return x == RED ? GREEN : RED;
}

Test(macro, passes_an_enum)
{
    const enum colour x = RED;
    CALL(other, x, enum colour);
    cr_assert_eq(result, GREEN);
}

struct point {
    double x;
    double y;
};
SCOOP_FUNCTION(double, area, const struct point p)
{
    return p.x * p.y;
}

Test(macro, passes_a_struct_of_doubles_and_returns_another_type)
{
    const struct point p = {.x = 3, .y = 5};
    CALL(area, p, double);
    cr_assert(result == 15.0);
}

struct mixed {
    int i;
    double d;
};
SCOOP_FUNCTION(struct mixed, sum, struct mixed m)
{
    m.d += m.i++;
    return m;
}

Test(macro, passes_a_struct_of_int_and_double)
{
    const struct mixed m = {.i = 1, .d = 2};
    CALL(sum, m, struct mixed);
    cr_assert(result.i == 2 && result.d == 3.0);
}

struct real {
    float f;
};
SCOOP_FUNCTION(struct real, half, struct real r)
{
    r.f /= 2;
    return r;
}

Test(macro, passes_a_struct_of_one_float)
{
    const struct real r = {.f = 3};
    CALL(half, r, struct real);
    cr_assert(result.f == 1.5F);
}

struct wide {
    long double value;
};
SCOOP_FUNCTION(struct wide, third, struct wide w)
{
    w.value /= 3;
    return w;
}

Test(macro, passes_a_struct_of_one_long_double)
{
    const struct wide w = {.value = 12};
    CALL(third, w, struct wide);
    cr_assert(result.value == 4.0L);
}

union either {
    int i;
    float f;
};
SCOOP_FUNCTION(int, as_int, union either e)
{
    return e.i;
}

Test(macro, passes_a_union)
{
    const union either e = {.i = 11};
    CALL(as_int, e, int);
    cr_assert_eq(result, 11);
}
