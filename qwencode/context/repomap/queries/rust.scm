(impl_item type: [(type_identifier) @name (generic_type type: (type_identifier) @name)]) @definition.implementation
(const_item name: (identifier) @name) @definition.constant
(static_item name: (identifier) @name) @definition.constant
