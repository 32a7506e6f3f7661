(enum_declaration name: (name) @name) @definition.class
(const_declaration (const_element (name) @name) @definition.constant)
(object_creation_expression (name) @name) @reference.class
(function_call_expression function: (name) @name) @reference.call
