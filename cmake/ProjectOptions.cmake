# One INTERFACE target carries dialect, warnings, hardening and sanitizers; every target links it.
add_library(project_options INTERFACE)
target_compile_features(project_options INTERFACE c_std_17)
target_compile_definitions(project_options INTERFACE _GNU_SOURCE)
# GCC alone checks for falling through: clang does not read the comment with which uthash says so.
target_compile_options(project_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wswitch-enum
  -Wnull-dereference -Wconversion -Wno-sign-conversion -Wdouble-promotion
  -fno-common -fno-omit-frame-pointer -fstack-protector-strong
  $<$<C_COMPILER_ID:GNU>:-Wimplicit-fallthrough;-Wduplicated-cond;-Wduplicated-branches;-Wlogical-op;-Wjump-misses-init>
  $<$<C_COMPILER_ID:Clang>:-Wcomma;-Wloop-analysis;-Wconditional-uninitialized>)
# No path of the build machine in binaries: images and hashes are the same wherever they are built.
target_compile_options(project_options INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
target_link_options(project_options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed)

# Not every processor has them. tests/binaries looks for each of the flags in what was built.
include(CheckCCompilerFlag)
foreach(flag IN ITEMS -fstack-clash-protection -fcf-protection)
  string(MAKE_C_IDENTIFIER "HAVE${flag}" known)
  check_c_compiler_flag(${flag} ${known})
  if(${known})
    target_compile_options(project_options INTERFACE ${flag})
  endif()
endforeach()

# FORTIFY needs the optimiser and fights ASan; so: optimised, unsanitised builds only.
set(SANITIZE "" CACHE STRING "empty, or: address,undefined | thread")
if(SANITIZE)
  target_compile_options(project_options INTERFACE -fsanitize=${SANITIZE} -fno-sanitize-recover=all)
  target_link_options(project_options INTERFACE -fsanitize=${SANITIZE})
else()
  target_compile_definitions(project_options INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=3>)
endif()

option(VALGRIND "tell valgrind of the stacks of executors" OFF)
if(VALGRIND)
  target_compile_definitions(project_options INTERFACE HAVE_VALGRIND)
endif()

option(WERROR "warnings are errors (CI on, packagers off)" OFF)
if(WERROR)
  target_compile_options(project_options INTERFACE -Werror)
endif()
