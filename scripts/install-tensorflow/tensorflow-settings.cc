// Addon that is loaded before TensorFlow, for what JavaScript cannot tell it.
#include <node_api.h>

#include <cstdlib>
#include <string>

#include "absl/base/options.h"

// TensorFlow's library logs a line about oneDNN while it is being loaded, before anybody could set Abseil's level. This addon is
// loaded with global symbols, so the library finds this function before its own. The inline namespace holds Abseil's release.
namespace absl {
inline namespace ABSL_OPTION_INLINE_NAMESPACE_NAME {
enum class LogSeverityAtLeast : int {};
__attribute__((visibility("default"))) LogSeverityAtLeast MinLogLevel() {
  static const char* const level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  return static_cast<LogSeverityAtLeast>(level ? std::atoi(level) : 0);
}
}  // namespace ABSL_OPTION_INLINE_NAMESPACE_NAME
}  // namespace absl

namespace {

std::string text(napi_env env, napi_value value) {
  char buffer[256];
  size_t length = 0;
  napi_get_value_string_utf8(env, value, buffer, sizeof buffer, &length);
  return std::string(buffer, length);
}

// setDefault(name, value): sets a variable of the process's own environment unless it is set, and returns what holds. A
// worker's process.env, and that of a test's context, may be a copy that TensorFlow does not see.
napi_value setDefault(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const std::string name = text(env, arguments[0]), value = text(env, arguments[1]);
  setenv(name.c_str(), value.c_str(), 0);
  const char* const held = std::getenv(name.c_str());
  napi_value result;
  napi_create_string_utf8(env, held ? held : "", NAPI_AUTO_LENGTH, &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "setDefault", NAPI_AUTO_LENGTH, setDefault, nullptr, &function);
  napi_set_named_property(env, exports, "setDefault", function);
  return exports;
}
