"""Chat templates in the known shapes, each written for these tests."""

CHATML = """{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
DEFAULT_SYSTEM = (
    """{%- if messages[0].role != 'system' -%}
{{- '<|im_start|>system\\nYou help.<|im_end|>\\n' -}}{%- endif -%}
"""
    + CHATML
)
THINKING = """{%- for message in messages -%}
{%- set said = message.content.split('</think>')[-1] if message.role == 'assistant' else message.content -%}
{{- '<|im_start|>' + message.role + '\\n' + said + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}
{%- endif -%}
"""
ALWAYS_THINKS = CHATML.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<think>\\n'")
HEADERS = """{{- bos_token -}}
{%- for message in messages -%}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + (message['content'] | trim) + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
"""
DATED = HEADERS.replace("{%- for", "{{- 'Today is ' + strftime_now('%d %b %Y') + '.\\n' -}}\n{%- for", 1)
INST = """{{- bos_token -}}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 is even) -%}
{{- raise_exception('roles must alternate, and the user begins') -}}
{%- endif -%}
{%- if message.role == 'user' -%}{{- '[INST] ' + message.content + ' [/INST]' -}}
{%- else -%}{{- ' ' + message.content + eos_token -}}{%- endif -%}
{%- endfor -%}
"""
TURNS = """{{ bos_token }}
{%- for message in messages %}
{%- if message.role == 'system' %}{{ raise_exception('there is no system role') }}{% endif %}
{%- set role = 'model' if message.role == 'assistant' else message.role %}
{{- '<start_of_turn>' + role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}
"""
DROPS_SYSTEM = CHATML.replace("for message in messages", "for message in messages if message.role != 'system'")
SYSTEM_LAST = """{%- for message in messages if message.role != 'system' -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if loop.last and messages[0].role == 'system' -%}{{- messages[0].content + '\\n\\n' -}}{%- endif -%}
{{- message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n' -}}
"""
USABLE = {
    "chatml": CHATML,
    "default system": DEFAULT_SYSTEM,
    "thinking": THINKING,
    "always thinks": ALWAYS_THINKS,
    "headers": HEADERS,
    "dated": DATED,
    "inst": INST,
    "turns": TURNS,
    "drops system": DROPS_SYSTEM,
    "system last": SYSTEM_LAST,
}
WITHOUT_SYSTEM = ("inst", "turns", "drops system", "system last")

NUMBERED = "{% for message in messages %}{{ loop.index }}{{ message.role }}: {{ message.content }}\n{% endfor %}A:"
LATEST_ONLY = "{{ messages[-1].content }}\nA:"
TWICE = "{% for message in messages %}{{ message.content }}|{{ message.content }}\n{% endfor %}A:"
LENGTHS = "{% for message in messages %}<{{ message.content | length }}>{{ message.content }}\n{% endfor %}"
UPPER = "{% for message in messages %}<{{ message.role }}>{{ message.content | upper }}\n{% endfor %}"
BROKEN = "{% for message in messages %}"
UNKNOWN = "{% for message in messages %}{{ message.content | frobnicate }}{% endfor %}"
RAISES = "{{ raise_exception('no') }}"
UNUSABLE = {
    "numbered": (NUMBERED, "one turn otherwise than another"),
    "latest only": (LATEST_ONLY, "leaves out messages"),
    "twice": (TWICE, "a message twice"),
    "lengths": (LENGTHS, "depends on those after it"),
    "upper": (UPPER, "leaves out messages"),
    "broken": (BROKEN, "it says: "),
    "unknown": (UNKNOWN, "it says: No filter named"),
    "raises": (RAISES, "it says: no"),
    "empty": ("", "leaves out messages"),
}

_GROWS = "{% set ns = namespace(x='x' * 1000) %}{% for _ in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
_LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a %}{% endfor %}{% endfor %}"
_WRITES = "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}"
HOSTILE = {
    "grows": _GROWS,
    "loops": _LOOPS,
    "writes": _WRITES,
    "huge": "{{ 'x' * 99999999999 }}",
    "deep": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "escape": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__ }}",
    "cycler": "{{ cycler.__init__.__globals__.os.system('touch /tmp/pwned') }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "changes": "{{ messages.append(1) }}",
    "formats": "{{ '{0.__class__.__mro__}'.format(messages) }}",
}
